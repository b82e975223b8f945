/**
 * One external network: an interface of our stack, the wire to its provider, and where its addresses come from.
 *
 * @module
 */

import type { PumpEnd } from "../../link/pump.ts";
import type { LinkCapabilities } from "../../stack/link/link.ts";
import type { Nic } from "../../stack/nic.ts";
import { createQdisc, type Qdisc } from "../../stack/qdisc/qdisc.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import { MacAddress } from "../../stack/wire/mac_address.ts";
import { largestMtu, shapedCapabilitiesOf } from "../../uplink/provider/config.ts";
import { Provider } from "../../uplink/provider/provider.ts";
import { address } from "../gateway_end.ts";
import type { ModeContext, NetworkConfig } from "../mode.ts";
import { Addressing } from "./addressing.ts";
import { BoundedLog } from "../bounded_log.ts";

/** Until somebody says otherwise (RFC 894); what nerdbox' guests have. */
const ETHERNET_MTU = 1_500;
/** Things refused that are remembered as told. */
const REFUSED = 128;
/** Bytes of an Ethernet header: what a frame is longer than its packet. */
const ETHERNET_HEADER = 14;

/** A network that the guest is on. */
export class JoinedNetwork {
  readonly nic: Nic;
  readonly addressing: Addressing;
  readonly provider: Provider;
  readonly config: NetworkConfig;
  /** Since when the provider is gone; NEVER: it is there. */
  lostAt: Instant = NEVER;
  readonly #context: ModeContext;
  readonly #log: BoundedLog;
  /** What was refused, as it was last told. */
  readonly #refused = new Set<string>();
  #refusals = 0;

  /**
   * @param device name of the interface
   * @param socketName path for our own socket
   * @param onChange gateways, resolvers, addresses or the MTU are others now
   */
  constructor(
    context: ModeContext,
    config: NetworkConfig,
    device: string,
    socketName: string,
    onChange: (now: Instant) => void,
  ) {
    const { stack, reactor, pool } = context;
    // What a provider sends is verified, and what it gets is summed, here.
    pool.useVectors();
    this.config = config;
    this.#context = context;
    const log = this.#log = new BoundedLog(
      context.log,
      `network ${config.name}`,
      () => reactor.now() as Instant,
    );
    const mtuMax = largestUsableMtu(context, config);
    const mtu = Math.min(config.mtu ?? ETHERNET_MTU, mtuMax);
    const uplink = { ...config, trustChecksums: context.config.rxChecksumOffload };
    const provider = this.provider = new Provider(uplink, socketName, {
      reactor,
      pool,
      random: () => stack.random(),
      log: (level, text) => log.write(level, text),
      merges: () => !this.nic.observed,
      onCarrier: (up, now) => this.#onCarrier(up, now),
    });
    provider.connect();
    const cutHere = context.config.qdisc.kind === "tbf" || !context.config.softwareGso;
    const capabilities = cutHere ? shapedCapabilitiesOf(uplink) : provider.link.capabilities;
    this.nic = stack.addNic({
      name: device,
      mac: MacAddress.parse(config.mac)!,
      mtu,
      capabilities,
      qdisc: qdiscOf(context, capabilities, mtuMax),
      learnNeighbours: true,
      coalesce: true,
      showWire: !cutHere && shapedCapabilitiesOf(uplink).gsoMaxSize === 0,
      softwareGso: context.config.softwareGso,
    });
    this.addressing = new Addressing(stack, this.nic, {
      addresses: config.addresses.map((one) => ({ ...one, address: address(one.address) })),
      dhcp: config.dhcp,
      mtu,
      mtuMax,
    }, { onChange, onNote: (text) => log.write("warn", `network ${config.name}: ${text}`) });
  }

  /** Begins to move frames between the provider and `end`: the interface itself, or a patch to the guest's own. */
  start(now: Instant, end: PumpEnd = this.nic): void {
    this.provider.pumpTo(end);
    this.addressing.start(now);
  }

  /** Something that this network gave is not used, for it is `whose`. Told once. */
  refuse(what: string, whose: { readonly name: string }): void {
    if (this.#refused.has(what)) return;
    // What is offered anew again and again is not remembered for ever.
    if (this.#refused.size >= REFUSED) this.#refused.clear();
    this.#refused.add(what);
    this.#refusals++;
    this.#log.write(
      "warn",
      `network ${this.config.name}: its ${what} is not used: it would take what is network ${whose.name}'s`,
    );
  }

  /** What went wrong with this network, by name. */
  counters(): Record<string, number> {
    return {
      ...this.provider.counters(),
      "refused": this.#refusals,
      "log-lines-left-out": this.#log.suppressed,
    };
  }

  pollAt(): Instant {
    return earlier(this.provider.pollAt(), this.addressing.pollAt());
  }

  poll(now: Instant): void {
    this.provider.poll(now);
    this.addressing.poll(now);
  }

  /** Gives the address back and hangs up. */
  stop(now: Instant): void {
    this.addressing.stop(now);
    this.provider.flush(now);
    this.provider.stop();
  }

  #onCarrier(up: boolean, now: Instant): void {
    this.nic.carrier = up;
    this.lostAt = up ? NEVER : now;
    if (up) this.addressing.resume(now);
  }
}

/** What the wire carries, the user allows, and a shaper lets pass. */
function largestUsableMtu({ config }: ModeContext, network: NetworkConfig): number {
  const most = Math.min(largestMtu(network), config.mtu);
  return config.qdisc.kind === "tbf"
    ? Math.min(most, Math.max(ETHERNET_MTU, config.qdisc.burst - ETHERNET_HEADER))
    : most;
}

function qdiscOf({ config }: ModeContext, { gsoMaxSize }: LinkCapabilities, mtu: number): Qdisc {
  return createQdisc({ ...config.qdisc, mtu, gsoMaxSize });
}

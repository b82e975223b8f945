/**
 * Attachment `tap` with several interfaces, one for each external network. Their addresses come with the word to go.
 *
 * @module
 */

import { close } from "../../host/sys.ts";
import { setCarrier } from "../../host/tun.ts";
import type { PumpEnd } from "../../link/pump.ts";
import { Pump } from "../../link/pump.ts";
import { TapLink } from "../../link/tap.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import type { StageLate } from "../stage/protocol.ts";
import { Stage } from "../stage/stage_peer.ts";
import type { TapContext } from "./attach.ts";
import { GuestInterfaces } from "./guest_interfaces.ts";

/** TAP devices in the guest's namespace. */
export interface TapAttachments {
  /** What went wrong on the wires, by name. */
  counters(): Readonly<Record<string, number>>;
  /** Begins to move frames between device number `index` and `end`. */
  pumpTo(index: number, end: PumpEnd): void;
  pollAt(): Instant;
  flush(now: Instant): void;
  /** Plugs the cable of device number `index` in, or out. */
  setCarrier(index: number, up: boolean): void;
  /** Lets the program start. */
  go(late: StageLate): void;
  /** Tells the guest's kernel and its resolver what has changed since. */
  update(late: StageLate): void;
  close(): void;
}

/**
 * Has the stage make the devices, and takes them over.
 *
 * @param mtu largest that a device may ever have
 * @throws {Error} with the stage's own words if it cannot: no /dev/net/tun, no permission
 */
export function attachTaps(context: TapContext, names: readonly string[], mtu: number): TapAttachments {
  const { config, reactor, pool } = context;
  if (config.stage === undefined) throw new RangeError("Cannot attach TAPs: there is no stage to make them");
  const stage = new Stage(
    reactor,
    config.stage,
    context.log,
    (message, status) => context.fail(message, status),
  );
  const descriptors = stage.prepareAll(config.stageConfig ?? "{}", names.length + 1);
  const netlink = descriptors.pop();
  if (netlink === undefined || descriptors.length !== names.length) {
    throw new RangeError("Cannot attach TAPs: the stage did not send all descriptors");
  }
  const interfaces = new GuestInterfaces(netlink, names);
  const links = descriptors.map((fd) => new TapLink({ fd, mtu, pool, gso: config.gso }));
  const pumps: Pump[] = [];
  return {
    counters: () => {
      const counters: Record<string, number> = {};
      for (const [i, link] of links.entries()) {
        for (const [name, value] of Object.entries(link.problems())) counters[`${names[i]}.${name}`] = value;
      }
      return counters;
    },
    pumpTo: (index, end) => {
      const gone = () => context.fail(`the guest's device ${names[index]} is gone`, 125);
      pumps.push(new Pump(reactor, descriptors[index]!, links[index]!, end, gone));
    },
    pollAt: () => pumps.reduce((at, pump) => earlier(at, pump.pollAt()), NEVER),
    flush: (now) => {
      for (const pump of pumps) pump.flush(now);
    },
    setCarrier: (index, up) => setCarrier(descriptors[index]!, up),
    go: (late) => {
      interfaces.told(late.devices);
      stage.go(late);
    },
    update: ({ devices, resolvConf }) => {
      for (const failure of interfaces.update(devices)) context.log("warn", failure);
      stage.showResolvConf(resolvConf);
    },
    close: () => {
      for (const pump of pumps) pump.close();
      for (const link of links) link.close();
      stage.end();
      for (const fd of descriptors) close(fd);
      interfaces.close();
    },
  };
}

import { test } from "node:test";
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { inTheWay, type PortHolder, UdpPorts } from "../../../../lib/attach/sockets/udp/ports.ts";
import { IpAddress } from "../../../../lib/stack/wire/address.ts";

type Traits = Partial<Omit<PortHolder, "letGo" | "holdsAddress">> & {
  address?: string;
  gone?: boolean;
};

function holder({ address, gone = false, ...traits }: Traits): PortHolder {
  const ip = address === undefined ? undefined : IpAddress.parse(address)!;
  return {
    holdsAddress: ip,
    hearsV4: ip === undefined || ip.family === 4,
    hearsV6: ip?.family === 6,
    reuseAddress: false,
    reusePort: false,
    device: undefined,
    ...traits,
    letGo: () => gone,
  };
}

const BOTH = { hearsV4: true, hearsV6: true };
const ONLY6 = { hearsV4: false, hearsV6: true };

test("inTheWay() follows udp_lib_lport_inuse", () => {
  const table: readonly (readonly [a: Traits, b: Traits, conflict: boolean])[] = [
    [{}, {}, true],
    [{ address: "127.0.0.1" }, { address: "127.0.0.1" }, true],
    [{ address: "127.0.0.1" }, { address: "127.0.0.2" }, false],
    [{ address: "127.0.0.1" }, {}, true],
    [{ address: "127.0.0.1" }, BOTH, true],
    [{ address: "127.0.0.1" }, ONLY6, false],
    [{ address: "::1" }, {}, false],
    [{ address: "::1" }, BOTH, true],
    [ONLY6, {}, false],
    [ONLY6, BOTH, true],
    [{ reuseAddress: true }, { reuseAddress: true }, false],
    [{ reuseAddress: true }, {}, true],
    [{ reusePort: true }, { reusePort: true }, false],
    [{ reusePort: true }, { reuseAddress: true }, true],
    [{ device: "eth0" }, { device: "lo" }, false],
    [{ device: "eth0" }, { device: "eth0" }, true],
    [{ device: "eth0" }, {}, true],
  ];
  for (const [a, b, conflict] of table) {
    const what = JSON.stringify([a, b]);
    strictEqual(inTheWay(holder(a), holder(b)), conflict, what);
    strictEqual(inTheWay(holder(b), holder(a)), conflict, what);
  }
});

test("UdpPorts.claim() gives a port once, and again when it is released", () => {
  const ports = new UdpPorts(() => 0);
  const [a, b] = [holder({}), holder({})];
  strictEqual(ports.claim(a, 5_000), 5_000);
  strictEqual(ports.claim(b, 5_000), 0);
  ports.release(a, 5_000);
  strictEqual(ports.claim(b, 5_000), 5_000);
});

test("UdpPorts.claim() asks a holder that may be gone", () => {
  const ports = new UdpPorts(() => 0);
  ports.claim(holder({ gone: true }), 5_000);
  strictEqual(ports.claim(holder({}), 5_000), 5_000);
});

test("UdpPorts.claim() picks ephemeral ports that nobody has", () => {
  const ports = new UdpPorts(() => 0);
  const seen = new Set<number>();
  for (let i = 0; i < 200; i++) seen.add(ports.claim(holder({ reuseAddress: true }), 0));
  strictEqual(seen.size, 200);
  ok(Math.min(...seen) >= 32_768 && Math.max(...seen) <= 60_999);
});

test("UdpPorts.claim() says when every port is taken", () => {
  const ports = new UdpPorts(() => 12_345);
  for (let port = 32_768; port <= 60_999; port++) notStrictEqual(ports.claim(holder({}), port), 0);
  strictEqual(ports.claim(holder({}), 0), 0);
  // Another address has ports of its own.
  deepStrictEqual(ports.claim(holder({ address: "::1" }), 0) > 0, true);
});

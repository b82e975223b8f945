import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Binding, PortTable } from "../../../../lib/attach/sockets/tcp/ports.ts";
import { IpAddress } from "../../../../lib/stack/wire/address.ts";

const owner = { settle() {} };

function binding(address: string, given: Partial<Binding> = {}): Binding {
  return {
    owner,
    address: IpAddress.parse(address)!,
    port: 80,
    v6Only: false,
    reuseAddress: false,
    reusePort: false,
    listening: false,
    ...given,
  };
}

const reuseAddress = true, reusePort = true, listening = true, v6Only = true;

const CASES: [why: string, held: Binding, wanted: Binding, conflict: boolean][] = [
  ["the same address", binding("127.0.0.1"), binding("127.0.0.1"), true],
  ["another address", binding("127.0.0.1"), binding("127.0.0.2"), false],
  ["another port", binding("127.0.0.1"), binding("127.0.0.1", { port: 81 }), false],
  ["any against one", binding("0.0.0.0"), binding("127.0.0.1"), true],
  ["one against any", binding("127.0.0.1"), binding("0.0.0.0"), true],
  ["any of both families against IPv4", binding("::"), binding("0.0.0.0"), true],
  ["any IPv6 only against IPv4", binding("::", { v6Only }), binding("0.0.0.0"), false],
  ["any IPv6 only against an IPv4 address", binding("::", { v6Only }), binding("127.0.0.1"), false],
  ["an IPv4 address against any of both", binding("127.0.0.1"), binding("::"), true],
  [
    "SO_REUSEADDR of both",
    binding("0.0.0.0", { reuseAddress }),
    binding("0.0.0.0", { reuseAddress }),
    false,
  ],
  ["SO_REUSEADDR of one", binding("0.0.0.0"), binding("0.0.0.0", { reuseAddress }), true],
  [
    "SO_REUSEADDR beside a listener",
    binding("0.0.0.0", { reuseAddress, listening }),
    binding("0.0.0.0", { reuseAddress }),
    true,
  ],
  [
    "a listener beside SO_REUSEADDR",
    binding("0.0.0.0", { reuseAddress }),
    binding("0.0.0.0", { reuseAddress, listening }),
    false,
  ],
  [
    "SO_REUSEPORT of both, listening",
    binding("0.0.0.0", { reusePort, listening }),
    binding("0.0.0.0", { reusePort, listening }),
    false,
  ],
  ["SO_REUSEPORT of one", binding("0.0.0.0", { reusePort }), binding("0.0.0.0"), true],
];

for (const [why, held, wanted, conflict] of CASES) {
  test(`PortTable.conflicts() is ${conflict} for ${why}`, () => {
    const table = new PortTable(() => 0, () => []);
    table.add(held);
    strictEqual(table.conflicts(wanted), conflict);
    table.remove(held);
    strictEqual(table.conflicts(wanted), false);
  });
}

test("PortTable.conflicts() asks the owner whether it still lives", () => {
  const table = new PortTable(() => 0, () => []);
  const gone = binding("127.0.0.1", { owner: { settle: () => table.remove(gone) } });
  table.add(gone);
  strictEqual(table.conflicts(binding("127.0.0.1")), false);
  strictEqual(table.isBound(80), false);
});

test("PortTable.conflicts() knows connections that nobody holds any more", () => {
  const living = [{ localAddress: IpAddress.parse("10.0.2.100")!, localPort: 80 }];
  const table = new PortTable(() => 0, () => living);
  strictEqual(table.conflicts(binding("0.0.0.0")), true);
  strictEqual(table.conflicts(binding("127.0.0.1")), false);
  strictEqual(table.conflicts(binding("0.0.0.0", { reuseAddress })), false);
});

test("PortTable.pick() passes over what is bound and what is not free, and ends", () => {
  const table = new PortTable(() => 0, () => []);
  table.add(binding("127.0.0.1", { port: 32_768 }));
  deepStrictEqual(table.pick((port) => port !== 32_769), 32_770);
  strictEqual(table.pick(() => false), 0);
});

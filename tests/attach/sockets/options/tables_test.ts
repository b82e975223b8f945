import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { Errno } from "../../../../lib/host/errno.ts";
import { intValue } from "../../../../lib/attach/sockets/options/access.ts";
import { IP_OPTIONS } from "../../../../lib/attach/sockets/options/ip_level.ts";
import { IPV6_OPTIONS } from "../../../../lib/attach/sockets/options/ipv6_level.ts";
import {
  type OptionOwner,
  type OptionTable,
  OptionValues,
  refusal,
  refusedWith,
} from "../../../../lib/attach/sockets/options/option.ts";
import { SOCKET_OPTIONS } from "../../../../lib/attach/sockets/options/socket_level.ts";
import { congestionOf, TCP_OPTIONS } from "../../../../lib/attach/sockets/options/tcp_level.ts";

class Owner implements OptionOwner {
  readonly domain = 2;
  readonly type = 1;
  readonly protocol = 6;
  readonly values = new OptionValues();
  readonly listening = false;
  bound = false;
  readonly connected = false;
  error = 0;
  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error;
  }
  putErrorBack(errno: number): void {
    this.error = errno;
  }
  hasInterface(name: string): boolean {
    return name === "lo";
  }
  describe(): number {
    return 0;
  }
  changed(): number {
    return 0;
  }
}

function set(table: OptionTable, level: number, name: number, value: number, owner = new Owner()): number {
  const option = table[name];
  if (option?.form !== "int" || option.accept === undefined) return -(option?.setErrno ?? Errno.ENOPROTOOPT);
  const accepted = option.accept(value, owner);
  if (refusedWith(accepted) !== 0) return -refusedWith(accepted);
  owner.values.set(level, name, accepted);
  return intValue(option, owner, level, name);
}

const CASES: [
  what: string,
  table: OptionTable,
  level: number,
  name: number,
  value: number,
  answer: number,
][] = [
  ["SO_REUSEADDR is a flag", SOCKET_OPTIONS, 1, 2, 7, 1],
  ["SO_TYPE cannot be set", SOCKET_OPTIONS, 1, 3, 1, -Errno.ENOPROTOOPT],
  ["SO_SNDBUF is doubled", SOCKET_OPTIONS, 1, 7, 20_000, 40_000],
  ["SO_SNDBUF has a floor", SOCKET_OPTIONS, 1, 7, 1, 4_608],
  ["SO_PRIORITY 6 is free", SOCKET_OPTIONS, 1, 12, 6, 6],
  ["SO_PRIORITY 7 is not", SOCKET_OPTIONS, 1, 12, 7, -Errno.EPERM],
  ["SO_MARK takes a privilege", SOCKET_OPTIONS, 1, 36, 1, -Errno.EPERM],
  ["SO_ZEROCOPY is refused", SOCKET_OPTIONS, 1, 60, 1, -Errno.EOPNOTSUPP],
  ["TCP_KEEPIDLE has a range", TCP_OPTIONS, 6, 4, 32_768, -Errno.EINVAL],
  ["TCP_MAXSEG has a range", TCP_OPTIONS, 6, 2, 87, -Errno.EINVAL],
  ["TCP_REPAIR takes a privilege", TCP_OPTIONS, 6, 19, 1, -Errno.EPERM],
  ["IP_TOS leaves ECN to TCP", IP_OPTIONS, 0, 1, 0xff, 0xfc],
  ["IP_TTL −1 is the default", IP_OPTIONS, 0, 2, -1, 64],
  ["IP_TTL 0 is none", IP_OPTIONS, 0, 2, 0, -Errno.EINVAL],
  ["IPV6_UNICAST_HOPS 0 is one", IPV6_OPTIONS, 41, 16, 0, 0],
  ["an option that nobody knows", IP_OPTIONS, 0, 4_000, 0, -Errno.ENOPROTOOPT],
];

for (const [what, table, level, name, value, answer] of CASES) {
  test(`options: ${what}`, () => strictEqual(set(table, level, name, value), answer));
}

test("options: IPV6_V6ONLY is fixed once the socket is bound", () => {
  const owner = new Owner();
  strictEqual(set(IPV6_OPTIONS, 41, 26, 1, owner), 1);
  owner.bound = true;
  strictEqual(set(IPV6_OPTIONS, 41, 26, 0, owner), -Errno.EINVAL);
});

test("options: SO_ERROR is told once", () => {
  const owner = new Owner();
  owner.error = Errno.ECONNREFUSED;
  const option = SOCKET_OPTIONS[4]!;
  strictEqual(option.form, "int");
  if (option.form !== "int") return;
  strictEqual(intValue(option, owner, 1, 4), Errno.ECONNREFUSED);
  strictEqual(intValue(option, owner, 1, 4), 0);
});

test("options: TCP_CONGESTION takes the names that the stack has", () => {
  const owner = new Owner();
  const view = new DataView(new ArrayBuffer(16));
  const write = (name: string) => {
    for (let i = 0; i < 16; i++) view.setUint8(i, name.charCodeAt(i) || 0);
    const option = TCP_OPTIONS[13]!;
    return option.form === "bytes" ? option.write!(owner, view, name.length) : -1;
  };
  strictEqual(write("bbr"), Errno.ENOENT);
  strictEqual(congestionOf(owner), undefined);
  strictEqual(write("reno"), 0);
  strictEqual(congestionOf(owner), "reno");
});

test("refusal() never looks like a value", () => {
  for (const value of [0, -1, -(2 ** 31), 2 ** 31 - 1]) strictEqual(refusedWith(value), 0);
  strictEqual(refusedWith(refusal(Errno.EINVAL)), Errno.EINVAL);
});

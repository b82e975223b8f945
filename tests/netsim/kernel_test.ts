/**
 * The same bad paths with the kernel at the other end, in real time: what it sends us and what we send it arrives to the
 * byte. How fast, compared with the kernel alone, is measured by scripts/bench/paths.ts.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { TcpOptions } from "../../lib/stack/tcp/options.ts";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { needs } from "../support/capability.ts";
import { LinuxEnd } from "../support/path/linux_end.ts";
import { Path, PathLoop } from "../support/path/path.ts";
import { StackEnd } from "../support/path/stack_end.ts";
import type { WireSpec } from "./wire.ts";

const SEED = 29;
const TOTAL = 600_000;
const LIMIT = 60 * SECOND;
const CLIENT = IpAddress.parse("10.0.0.1")!;
const SERVER = IpAddress.parse("10.0.0.2")!;
const PORT = 9;
const BAD: WireSpec = {
  delay: 4 * MILLISECOND,
  rate: 12_500_000,
  queue: 262_144,
  loss: 0.03,
  reorder: 0.02,
  reorderBy: 3 * MILLISECOND,
  duplicate: 0.01,
};

/** What differs from path to path, of our side and of the kernel's. */
const VARIANTS: [name: string, tcp: Partial<TcpOptions>, settings: Record<string, string>][] = [
  ["all options", {}, {}],
  ["no timestamps", { timestamps: false }, {}],
  ["no SACK", {}, { tcp_sack: "0" }],
  ["ECN", { ecn: "request" }, { tcp_ecn: "1" }],
];

test(
  "Stack and the kernel send each other every byte through loss, reordering and duplicates",
  needs("root", "tun"),
  () => {
    const loop = new PathLoop();
    try {
      const paths: [string, Path][] = [];
      for (const [name, tcp, settings] of VARIANTS) {
        const { pool, now } = loop;
        const ours = { tcp, seed: SEED };
        const linux = { settings, congestion: "cubic" };
        const marking = { ...BAD, markAbove: 30_000 };
        const out = new Path(
          new StackEnd(CLIENT, PORT, SERVER, pool, now, { ...ours, send: TOTAL }),
          new LinuxEnd(SERVER, PORT, undefined, pool, linux),
          marking,
          BAD,
          SEED,
          pool,
        );
        const into = new Path(
          new LinuxEnd(CLIENT, PORT, SERVER, pool, { ...linux, send: TOTAL }),
          new StackEnd(SERVER, PORT, undefined, pool, now, ours),
          marking,
          BAD,
          SEED,
          pool,
        );
        paths.push([`we send, ${name}`, out], [`the kernel sends, ${name}`, into]);
      }
      for (const [, path] of paths) loop.add(path);
      loop.run((path) => path.server.peerClosed && path.server.received >= TOTAL, LIMIT);
      for (const [name, { client, server, there }] of paths) {
        const what = `seed ${SEED}, ${name}`;
        ok(client.established && server.established, `${what}: no connection`);
        strictEqual(server.wrongAt, -1, what);
        strictEqual(server.received, TOTAL, what);
        ok(server.peerClosed, `${what}: no end of file`);
        ok(there.counts.lost > 0 && there.counts.reordered > 0, `${what}: the path was not bad`);
      }
    } finally {
      loop.close();
    }
  },
);

/**
 * Goodput over loss and delay, as a committed table: what makes TCP slower or faster becomes a diff.
 *
 * The bottleneck is 100 Mbit/s with a queue of 256 KiB; loss is on the way of the data only; the delay is one-way. Each
 * cell is 60 MB or 60 simulated seconds, whichever ends first, counted from the handshake. The numbers are the same to
 * the last digit on every runtime and every machine; `SLUICE_UPDATE_SNAPSHOTS=1` writes the table anew.
 */

import { ok, strictEqual } from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import { Lab } from "./lab.ts";

const SEED = 8;
const RATE = 12_500_000;
const QUEUE = 262_144;
const TOTAL = 60_000_000;
const LIMIT = 60 * SECOND;
const LOSSES = [0, 0.001, 0.01, 0.03];
const DELAYS = [1, 20, 100];
const SNAPSHOT = new URL("./snapshots/throughput.txt", import.meta.url);

/** Megabits per second of payload. */
function goodput(loss: number, delay: number, congestion: "cubic" | "reno"): number {
  const lab = new Lab({
    seed: SEED,
    there: { delay: delay * MILLISECOND, rate: RATE, queue: QUEUE, loss },
    back: { delay: delay * MILLISECOND, rate: RATE, queue: QUEUE },
    tcp: { congestion },
  });
  const { client, server } = lab.connect({ send: Infinity }, {});
  ok(lab.world.run(() => client.established, 60 * SECOND), "no handshake");
  const start = lab.world.now;
  lab.world.run(() => server.received >= TOTAL, LIMIT);
  strictEqual(server.wrongAt, -1);
  return server.received * 8 / (lab.world.now - start);
}

/** What theory says a CUBIC flow gets (RFC 9438 sections 4.3 and 5.1), below the capacity of the bottleneck. */
function theory(loss: number, delay: number): number {
  const segment = 1448;
  const capacity = RATE * 8 / 1e6 * segment / 1514;
  if (loss === 0) return capacity;
  const rtt = 2 * delay / 1000 + 2 * 1514 / RATE;
  const reno = Math.sqrt(1.5 / loss);
  const cubic = 1.054 * (rtt / loss) ** 0.75;
  return Math.min(capacity, Math.max(reno, cubic) * segment * 8 / rtt / 1e6);
}

/** The table as committed: one line for each algorithm and loss. */
function readSnapshot(): Map<string, string> {
  const lines = existsSync(SNAPSHOT) ? readFileSync(SNAPSHOT, "utf8").trim().split("\n") : [];
  return new Map(lines.map((line) => [line.slice(0, KEY_WIDTH), line]));
}

const KEY_WIDTH = 16;
const HEADER = [
  "# Mbit/s of payload over a bottleneck of 100 Mbit/s with a queue of 256 KiB: 60 MB, or 60 s",
  `# cc     loss % ${DELAYS.map((delay) => `${delay} ms`.padStart(9)).join(" ")}`,
];
const updating = process.env["SLUICE_UPDATE_SNAPSHOTS"] === "1";
const snapshot = readSnapshot();
const measured: string[] = [];

for (const congestion of ["cubic", "reno"] as const) {
  for (const loss of LOSSES) {
    test(`goodput of ${congestion} at ${loss * 100} % loss is what the snapshot says`, () => {
      const key = `${congestion.padEnd(8)} ${(loss * 100).toFixed(1).padStart(6)} `;
      const row = DELAYS.map((delay) => {
        const mbit = goodput(loss, delay, congestion);
        // One seed and a minute are not enough for an average: the bound is wide where a cell sees few losses.
        const bound = theory(loss, delay);
        if (loss > 0 && congestion === "cubic") {
          ok(mbit > 0.85 * bound, `seed ${SEED}: ${mbit} Mbit/s at ${delay} ms, theory says ${bound}`);
        }
        return mbit.toFixed(3).padStart(9);
      });
      const line = key + row.join(" ");
      measured.push(line);
      if (!updating) strictEqual(line, snapshot.get(key));
    });
  }
}

test("goodput snapshot is complete", () => {
  const table = [...HEADER, ...measured].join("\n") + "\n";
  if (updating) writeFileSync(SNAPSHOT, table);
  strictEqual(table, readFileSync(SNAPSHOT, "utf8"));
});

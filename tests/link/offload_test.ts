/** What leaves by a wire, by what the other side takes. */

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read } from "../../lib/host/sys.ts";
import { setSocketBuffers } from "../../lib/host/unix_socket.ts";
import { DEVICE_FEATURES, DRIVER_FEATURES, offloadOf, WIRE_CAPABILITIES } from "../../lib/link/offload.ts";
import { UnixGramLink } from "../../lib/link/unix_gram.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import { Checksum, Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { copyOf } from "../../lib/stack/link/copy.ts";
import { toHex } from "../support/bytes.ts";
import { randomBytes, seeded } from "../support/random.ts";
import { segmentAll } from "../support/segments.ts";
import { superPacket, tcpFrame } from "../support/tcp_frame.ts";

const pool = new BufferPool(addressOf);
const CSUM = 1 << 1, TSO4 = 1 << 7, TSO6 = 1 << 8;

/** What one packet is sent as: its frames and the headers in front of them. */
interface Sent {
  readonly headers: string[];
  readonly frames: string[];
}

function sendBy(kind: "stream" | "gram", features: number, vnetHeader: number, packet: PacketBuffer): Sent {
  const [near, far] = socketPair((kind === "stream" ? SOCK.STREAM : SOCK.DGRAM) | SOCK.NONBLOCK);
  setSocketBuffers(near, 1 << 20);
  const options = {
    fd: near,
    mtu: 1_500,
    pool,
    capabilities: WIRE_CAPABILITIES,
    offload: offloadOf(features, DRIVER_FEATURES, vnetHeader),
    onEnd: (why: string) => {
      throw new Error(why);
    },
  };
  const link = kind === "stream" ? new UnixStreamLink(options) : new UnixGramLink(options);
  const memory = new NativeMemory(1 << 18);
  const sent: Sent = { headers: [], frames: [] };
  const add = (at: number, end: number) => {
    sent.headers.push(toHex(memory.bytes.subarray(at, at + vnetHeader)));
    sent.frames.push(toHex(memory.bytes.subarray(at + vnetHeader, end)));
  };
  try {
    equal(link.transmit(packet) && link.flush(), true);
    if (kind === "gram") {
      for (;;) {
        const n = read(far, memory.address, memory.bytes.length);
        if (n <= 0) break;
        add(0, n);
      }
    } else {
      const n = read(far, memory.address, memory.bytes.length);
      for (let at = 0; at < n;) {
        const end = at + 4 + memory.view.getUint32(at);
        add(at + 4, end);
        at = end;
      }
    }
    return sent;
  } finally {
    link.close();
    close(near);
    close(far);
  }
}

type How = "cut" | "whole" | "whole, unsummed";
const WAYS: readonly [features: number, vnetHeader: number, tcp4: How, tcp6: How][] = [
  [0, 0, "cut", "cut"],
  [CSUM, 0, "cut", "cut"],
  [TSO4 | TSO6, 0, "cut", "cut"],
  [CSUM | TSO4, 0, "whole", "cut"],
  [CSUM | TSO6, 0, "cut", "whole"],
  [CSUM | TSO4 | TSO6, 0, "whole", "whole"],
  [0, 12, "cut", "cut"],
  [CSUM, 12, "cut", "cut"],
  [CSUM | TSO4, 12, "whole, unsummed", "cut"],
  [CSUM | TSO4 | TSO6, 10, "whole, unsummed", "whole, unsummed"],
];

for (const kind of ["stream", "gram"] as const) {
  for (const [features, vnetHeader, ...ways] of WAYS) {
    const name = `${kind}: features ${features.toString(16)}, header of ${vnetHeader}`;
    test(`${name}: a long packet leaves ${ways.join(" and ")}`, () => {
      for (const [i, family] of ([4, 6] as const).entries()) {
        const segment = { family, payload: randomBytes(seeded(1), 40_001) };
        const packet = superPacket(segment, 1_448, pool);
        const transport = packet.checksumStart - packet.start;
        const unsummed = toHex(packet.toBytes());
        const segments = segmentAll(copyOf(packet, pool), pool).map((one) => toHex(one.toBytes()));
        const { headers, frames } = sendBy(kind, features, vnetHeader, packet);
        const way = ways[i];
        deepEqual(
          frames,
          way === "cut" ? segments : [way === "whole" ? toHex(tcpFrame(segment).toBytes()) : unsummed],
        );
        const described = new Uint8Array(vnetHeader);
        if (way === "whole, unsummed") {
          const view = new DataView(described.buffer);
          described.set([1, family === 4 ? 1 : 4]);
          view.setUint16(2, transport + 32, true);
          view.setUint16(4, 1_448, true);
          view.setUint16(6, transport, true);
          view.setUint16(8, 16, true);
        }
        deepEqual(headers, frames.map(() => toHex(described)));
      }
    });

    test(`${name}: a checksum that is not made is ${ways.join().includes("unsummed") || (features & CSUM) > 0 && vnetHeader > 0 ? "told of" : "made"}`, () => {
      const payload = randomBytes(seeded(2), 900);
      const packet = superPacket({ payload }, 900, pool);
      packet.gso = Gso.none;
      packet.gsoSize = 0;
      equal(packet.checksum, Checksum.partial);
      const partial = toHex(packet.toBytes());
      const told = (features & CSUM) > 0 && vnetHeader > 0;
      const { headers, frames } = sendBy(kind, features, vnetHeader, packet);
      deepEqual(frames, [told ? partial : toHex(tcpFrame({ payload }).toBytes())]);
      equal(headers[0]!.startsWith(vnetHeader === 0 ? "" : told ? "0100" : "0000"), true);
    });
  }

  test(`${kind}: a packet that is longer than any frame is cut after all`, () => {
    const most = kind === "stream" ? 65_535 : 65_550;
    for (const length of [most, most + 1]) {
      // Longer than an IP packet can say it is; what counts is the frame.
      const packet = superPacket({ family: 6, payload: new Uint8Array(length - 14 - 40 - 32) }, 1_448, pool);
      equal(packet.totalLength, length);
      const { frames } = sendBy(kind, CSUM | TSO6, 0, packet);
      equal(frames.length === 1, length === most, `${length} bytes, ${frames.length} frames`);
    }
  });
}

test("a device's features are not a driver's", () => {
  const all = CSUM | TSO4 | TSO6;
  deepEqual(offloadOf(all, DEVICE_FEATURES, 12), {
    vnetHeader: 12,
    checksums: false,
    tcp4: false,
    tcp6: false,
  });
});

/**
 * sluice as a library: a TCP/IP stack without a clock, a descriptor or a thread.
 *
 * Frames go in, frames come out, time is an argument. What drives it is yours: a socket, a WebRTC channel, a test. Here
 * two stacks talk over a wire in memory:
 *
 * @example Two stacks, one echo
 * ```ts
 * import { BufferPool, type Instant, IpAddress, MacAddress, memoryWire, Stack, TcpStreams } from "@sluice/sluice";
 *
 * const random = () => crypto.getRandomValues(new Uint32Array(1))[0]!;
 * const now = () => performance.now() * 1000 as Instant;
 * const pool = new BufferPool();
 * const links = memoryWire({ mtu: 1500 }, pool);
 *
 * const hosts = links.map((link, i) => {
 *   const stack = new Stack({ random, pool });
 *   const mac = MacAddress.local(random(), random());
 *   const nic = stack.addNic({ name: "eth0", mac, mtu: link.mtu, capabilities: link.capabilities });
 *   nic.addAddress(IpAddress.parse(`10.0.0.${i + 1}`)!, 24);
 *   const streams = new TcpStreams({ stack, now, wake: pump });
 *   return { stack, nic, link, streams };
 * });
 *
 * let pumping = false;
 * function pump(): void {
 *   if (pumping) return;
 *   pumping = true;
 *   setTimeout(() => {
 *     pumping = false;
 *     let moved = false;
 *     for (const { stack, nic, link } of hosts) {
 *       for (let frame = link.receive(); frame; frame = link.receive()) nic.ingress(frame, now());
 *       stack.poll(now());
 *       for (let frame = nic.egress(now()); frame; frame = nic.egress(now())) {
 *         moved = true;
 *         if (!link.transmit(frame)) frame.release();
 *       }
 *       if (stack.pollAt() === 0) moved = true;
 *     }
 *     if (moved) pump(); // And a real one sleeps until the earliest `stack.pollAt()`.
 *   });
 * }
 *
 * const [client, server] = hosts;
 * const listener = server!.streams.listen({ port: 7 });
 * const served = listener.accept().then((stream) => stream!.readable.pipeTo(stream!.writable));
 *
 * const stream = await client!.streams.connect({ remoteAddress: IpAddress.parse("10.0.0.2")!, remotePort: 7 });
 * const writer = stream.writable.getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 * const answer = await new Response(stream.readable as ReadableStream<Uint8Array<ArrayBuffer>>).text();
 * if (answer !== "hello") throw new Error(answer);
 * await served;
 * listener.close();
 * ```
 *
 * @module
 */

export { HEADROOM, PacketBuffer } from "./lib/stack/buffer/packet.ts";
export { BufferPool } from "./lib/stack/buffer/pool.ts";
export type { StackFacts } from "./lib/stack/facts.ts";
export { type Link, type LinkCapabilities, NO_OFFLOAD } from "./lib/stack/link/link.ts";
export { MemoryLink, memoryWire } from "./lib/stack/link/memory.ts";
export type { StackLimits } from "./lib/stack/limits.ts";
export type { Nic, NicOptions } from "./lib/stack/nic.ts";
export { createQdisc, type Qdisc, type QdiscOptions } from "./lib/stack/qdisc/qdisc.ts";
export { Stack, type StackOptions, type TcpConnectOptions } from "./lib/stack/stack.ts";
export { TcpStream, TcpStreamError, TcpStreamListener, TcpStreams } from "./lib/stack/streams.ts";
export { TcpConnection } from "./lib/stack/tcp/connection.ts";
export { type TcpError, TcpEvent, type TcpObserver } from "./lib/stack/tcp/events.ts";
export { type Instant, NEVER } from "./lib/stack/time.ts";
export { UdpEndpoint, type UdpObserver } from "./lib/stack/udp/endpoint.ts";
export { IpAddress } from "./lib/stack/wire/address.ts";
export { MacAddress } from "./lib/stack/wire/ethernet.ts";

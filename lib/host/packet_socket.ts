/**
 * Packet sockets: the raw frames of one interface of the kernel (packet(7)).
 *
 * Theory of operation. The kernel hands us a copy of what arrives and sends what we write, both with a
 * `struct virtio_net_hdr` in front, so that super-packets and partial checksums cross uncut in both directions; what the
 * device cannot do itself, the kernel does on the way out. The socket is bound only when everything is set, so that no
 * stray frame is in its queue.
 *
 * A small filter drops, inside the kernel, what is not for us: frames that we or others on this machine sent
 * (also by `PACKET_IGNORE_OUTGOING`, where there is it, before they are copied), and frames of a VLAN, whose tag the
 * device has taken off: without it they would look like ours.
 *
 * `PACKET_QDISC_BYPASS` is not used: it drops what a busy device does not take, where the ordinary way says EAGAIN when
 * our send buffer is full, and that is what makes back-pressure of it. It also hides what we send from tcpdump.
 *
 * @module
 */

import { assembleProgram, type Instruction } from "./bpf.ts";
import { CAP, hasCapability } from "./capabilities.ts";
import { AF, PACKET, SO, SOCK, SOL } from "./constants.ts";
import { Errno, SystemError } from "./errno.ts";
import { setOption } from "./inet.ts";
import { NativeMemory } from "./memory.ts";
import { SOCKADDR_LL_SIZE, writeSockaddrLink } from "./structs.ts";
import { bind, close, getsockopt, setsockopt, socket } from "./sys.ts";

const ETH_P_ALL = 3;
const PACKET_MR_ALLMULTI = 2;
/** What the kernel may hold for us, and of ours, in bytes of its own count: some sixty super-packets. */
const RECEIVE_BUFFER = 8 << 20, SEND_BUFFER = 4 << 20;

/** Ancillary data of a filter (`linux/filter.h`): `SKF_AD_OFF` + … */
const AD_PACKET_TYPE = 0xfffff000 + 4, AD_VLAN_PRESENT = 0xfffff000 + 48;
const PACKET_OUTGOING = 4;
const LOAD = 0x20, JUMP_EQUAL = 0x15, RETURN = 0x06;
const FILTER: readonly Instruction[] = [
  [LOAD, 0, 0, AD_PACKET_TYPE],
  [JUMP_EQUAL, 2, 0, PACKET_OUTGOING],
  [LOAD, 0, 0, AD_VLAN_PRESENT],
  [JUMP_EQUAL, 1, 0, 0],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, 0xffffffff],
];

/** What the kernel counted since it was last asked. */
export interface PacketStatistics {
  /** Frames for which our receive buffer had no room. */
  readonly drops: number;
}

/** The kernel refused. */
export class PacketSocketError extends SystemError {
  override readonly name: string = "PacketSocketError";

  constructor(what: string, errno: number) {
    super(what, errno);
    if (errno === Errno.EPERM && hasCapability(CAP.NET_RAW)) {
      this.message += ": this network namespace belongs to another user namespace than ours";
    }
  }
}

/**
 * Opens a packet socket on interface `index`: non-blocking, close-on-exec, one frame per read or write, each with a
 * `struct virtio_net_hdr` of 10 bytes.
 *
 * @throws {PacketSocketError} that names what is missing
 */
export function openPacketSocket(index: number): number {
  const fd = socket(AF.PACKET, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) throw new PacketSocketError("open a packet socket", -fd);
  try {
    must(setOption(fd, SOL.PACKET, PACKET.VNET_HDR, 1), "ask for unfinished frames");
    // Linux before 4.20 does not know it; the filter does the same, later.
    setOption(fd, SOL.PACKET, PACKET.IGNORE_OUTGOING, 1);
    const program = assembleProgram(FILTER);
    must(setsockopt(fd, SOL.SOCKET, SO.ATTACH_FILTER, program.address, 16), "filter frames");
    // Beyond the machine's limits if we may; else what the limits allow.
    if (setOption(fd, SOL.SOCKET, SO.RCVBUFFORCE, RECEIVE_BUFFER) < 0) {
      setOption(fd, SOL.SOCKET, SO.RCVBUF, RECEIVE_BUFFER);
    }
    if (setOption(fd, SOL.SOCKET, SO.SNDBUFFORCE, SEND_BUFFER) < 0) {
      setOption(fd, SOL.SOCKET, SO.SNDBUF, SEND_BUFFER);
    }
    const memory = new NativeMemory(SOCKADDR_LL_SIZE);
    // struct packet_mreq: groups that the kernel has not joined must pass the device, too.
    memory.view.setInt32(0, index, true);
    memory.view.setUint16(4, PACKET_MR_ALLMULTI, true);
    must(setsockopt(fd, SOL.PACKET, PACKET.ADD_MEMBERSHIP, memory.address, 16), "hear all groups");
    writeSockaddrLink(memory.view, 0, index, ETH_P_ALL);
    must(bind(fd, memory.address, SOCKADDR_LL_SIZE), `listen on interface ${index}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Opens a packet socket that only sends, on interface `index`: non-blocking, close-on-exec, one frame per write, each with
 * a `struct virtio_net_hdr` of 10 bytes. To other packet sockets its frames are outgoing ones; who is behind the interface
 * tells them by `mark`.
 *
 * @throws {PacketSocketError} that names what is missing
 */
export function openFrameSender(index: number, mark: number): number {
  const fd = socket(AF.PACKET, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) throw new PacketSocketError("open a packet socket", -fd);
  try {
    must(setOption(fd, SOL.PACKET, PACKET.VNET_HDR, 1), "send unfinished frames");
    must(setOption(fd, SOL.SOCKET, SO.MARK, mark), "mark frames");
    if (setOption(fd, SOL.SOCKET, SO.SNDBUFFORCE, SEND_BUFFER) < 0) {
      setOption(fd, SOL.SOCKET, SO.SNDBUF, SEND_BUFFER);
    }
    const memory = new NativeMemory(SOCKADDR_LL_SIZE);
    // Protocol 0: it hears nothing.
    writeSockaddrLink(memory.view, 0, index, 0);
    must(bind(fd, memory.address, SOCKADDR_LL_SIZE), `send on interface ${index}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

const statistics = new NativeMemory(16);

/** What the kernel could not give us since the last call. */
export function packetStatistics(fd: number): PacketStatistics {
  statistics.words.fill(0);
  statistics.words[2] = 8;
  const result = getsockopt(fd, SOL.PACKET, PACKET.STATISTICS, statistics.address, statistics.address + 8);
  return { drops: result < 0 ? 0 : statistics.view.getUint32(4, true) };
}

function must(result: number, what: string): void {
  if (result < 0) throw new PacketSocketError(what, -result);
}

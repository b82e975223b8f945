/**
 * TAP devices: network interfaces of the kernel whose far end is a descriptor.
 *
 * @module
 */

import { O } from "./arch.ts";
import { assembleProgram, type Instruction } from "./bpf.ts";
import { Errno, errnoText, SystemError } from "./errno.ts";
import { cString, NativeMemory, textAt } from "./memory.ts";
import { IFNAME_MAX, IFREQ_SIZE } from "./structs.ts";
import { close, ioctl, open } from "./sys.ts";

/** Makes a device, or attaches to one. */
export const TUNSETIFF = 0x400454ca;

const TUNSETOFFLOAD = 0x400454d0,
  TUNSETSNDBUF = 0x400454d4,
  TUNATTACHFILTER = 0x401054d5,
  TUNSETVNETHDRSZ = 0x400454d8,
  TUNSETIFINDEX = 0x400454da,
  TUNSETCARRIER = 0x400454e2;
const IFF_TAP = 0x0002, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;

/** What the reader of the device can do with packets that are not finished (`TUN_F_…`). */
export const TunOffload = { csum: 1, tso4: 2, tso6: 4, tsoEcn: 8 } as const;

/** Bytes of the `struct virtio_net_hdr` in front of each frame, without the count of merged buffers. */
export const VNET_HEADER = 10;

/**
 * Frames that the kernel may queue for us before it stops taking more from us; its default is no limit at
 * all.
 */
const SEND_BUFFER = 4 << 20;

/** How a device is made. */
export interface TapOptions {
  /**
   * Take packets with partial checksums and up to 64 KiB from the kernel; each frame has a vnet header.
   * Default true.
   */
  readonly offload?: boolean;
  /** The interface's index; the kernel numbers it if absent. */
  readonly index?: number;
  /** Frames that a socket with this mark (`SO_MARK`) sends on the interface do not reach the descriptor. */
  readonly deafTo?: number;
}

/** A TAP device that is ours until its descriptor is closed. */
export interface Tap {
  /** Non-blocking, close-on-exec; one frame per read. */
  readonly fd: number;
  readonly name: string;
  /** The `TunOffload` bits that the kernel took. */
  readonly offload: number;
}

/**
 * Makes a TAP device in the network namespace of this thread, or takes over a persistent one of that name.
 * `%d` in the name is numbered by the kernel. Every frame read or written begins with {@linkcode VNET_HEADER}
 * bytes.
 *
 * @throws {SystemError} that says what to do: no /dev/net/tun, no permission, name in use
 */
export function openTap(name: string, options: TapOptions = {}): Tap {
  if (name === "" || name.length > IFNAME_MAX || /[/\s\0]/.test(name)) {
    throw new RangeError(
      `Cannot make interface "${name}": a name has 1 to ${IFNAME_MAX} characters, no blank, no slash`,
    );
  }
  const fd = open(cString("/dev/net/tun").address, O.RDWR | O.CLOEXEC | O.NONBLOCK, 0);
  if (fd < 0) throw new TunError("open /dev/net/tun", -fd, OPEN_ADVICE[-fd]);
  const request = new NativeMemory(IFREQ_SIZE);
  const prepared = options.index === undefined ? 0 : setIndex(fd, options.index);
  new TextEncoder().encodeInto(name, request.bytes);
  request.view.setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  const made = prepared < 0 ? prepared : ioctl(fd, TUNSETIFF, request.address);
  if (made < 0) {
    close(fd);
    throw new TunError(`make interface ${name}`, -made, MAKE_ADVICE[-made]);
  }
  request.words[8] = VNET_HEADER;
  const sized = ioctl(fd, TUNSETVNETHDRSZ, request.address + 32);
  const filtered = options.deafTo === undefined ? 0 : attachFilter(fd, options.deafTo);
  if (sized < 0 || filtered < 0) {
    close(fd);
    throw new SystemError(`set up interface ${name}`, -Math.min(sized, filtered));
  }
  // A limit makes a full device say EAGAIN, so that the queueing discipline in front of it can do its work.
  request.words[8] = SEND_BUFFER;
  ioctl(fd, TUNSETSNDBUF, request.address + 32);
  return { fd, name: textAt(request.bytes, 0, 16), offload: options.offload === false ? 0 : setOffload(fd) };
}

/** Plugs the cable of a TAP device in, or out. A kernel before 5.0 does not know how: there it stays as it is. */
export function setCarrier(fd: number, up: boolean): void {
  const memory = new NativeMemory(8);
  memory.words[0] = up ? 1 : 0;
  ioctl(fd, TUNSETCARRIER, memory.address);
}

function setIndex(fd: number, index: number): number {
  const memory = new NativeMemory(8);
  memory.words[0] = index;
  return ioctl(fd, TUNSETIFINDEX, memory.address);
}

/** Ancillary data of a filter: `SKF_AD_OFF + SKF_AD_MARK` (`linux/filter.h`). */
const AD_MARK = 0xfffff000 + 20;
const LOAD = 0x20, JUMP_EQUAL = 0x15, RETURN = 0x06;

function attachFilter(fd: number, mark: number): number {
  const filter: readonly Instruction[] = [
    [LOAD, 0, 0, AD_MARK],
    [JUMP_EQUAL, 1, 0, mark],
    [RETURN, 0, 0, 0xffffffff],
    [RETURN, 0, 0, 0],
  ];
  return ioctl(fd, TUNATTACHFILTER, assembleProgram(filter).address);
}

/** Asks for the most first: the call takes all bits or none. */
function setOffload(fd: number): number {
  const tso = TunOffload.csum | TunOffload.tso4 | TunOffload.tso6;
  for (const bits of [tso | TunOffload.tsoEcn, tso, TunOffload.csum]) {
    if (ioctl(fd, TUNSETOFFLOAD, bits) >= 0) return bits;
  }
  return 0;
}

const OPEN_ADVICE: Readonly<Record<number, string>> = {
  [Errno.ENOENT]: "load the module with `modprobe tun`, or give the sandbox the device /dev/net/tun",
  [Errno.ENXIO]: "load the module with `modprobe tun`",
  [Errno.ENODEV]: "load the module with `modprobe tun`",
  [Errno.EACCES]: "as root: `chmod 666 /dev/net/tun`, which is how distributions ship it",
  [Errno.EPERM]: "the device cgroup of this container forbids it: allow `c 10:200 rwm`",
};

const MAKE_ADVICE: Readonly<Record<number, string>> = {
  [Errno.EPERM]: "this needs CAP_NET_ADMIN in the network namespace, or a user namespace that owns it",
  [Errno.EBUSY]: "somebody else has a device of that name open",
  [Errno.EINVAL]: "an interface of that name exists and is not a TAP device",
};

/** A device could not be had; says what to do about it. */
export class TunError extends SystemError {
  override readonly name: string = "TunError";

  constructor(what: string, errno: number, readonly advice: string | undefined) {
    super(what, errno);
    this.message = `Cannot ${what}: ${errnoText(errno)}${advice === undefined ? "" : ` (${advice})`}`;
  }
}

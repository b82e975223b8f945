/**
 * What passes between the engine and the stage inside the guest's namespaces, over one `SOCK_SEQPACKET` socketpair.
 *
 * ```text
 *   engine                              stage
 *     ◀── any other text ─────────────    what the program that makes the namespaces has to say on stderr
 *     ── StageConfig (JSON) ──────────▶   makes lo and the TAP, addresses, routes, mounts
 *     ◀── {"handed":…} + descriptor ──    what the engine needs of the shadows, if it asked for some
 *     ◀── {"tap":true} + descriptor ──    (or {"ready":true} where the mode has no device); behind those of external
 *         builds NIC and uplink           networks, {"ready":true} + a netlink socket of the namespace
 *         builds NIC and uplink
 *     ── {"go":true} ─────────────────▶   restores signals and limits, drops capabilities, execs
 *     ◀── {"resolvConf":true} + fd ────   before that, where resolv.conf came with the word to go
 *                                         with attachment `sockets`, before that:
 *     ◀── {"listener":n,"pid":p} ──────   its filter is installed
 *     ── {"exec":true} ───────────────▶
 *     ◀── end of file ────────────────    the program runs   (or {"failed": …}: it does not)
 * ```
 *
 * Closed-on-exec does the rest: the guest inherits nothing of this.
 *
 * @module
 */

/** The stage's arguments: which descriptor is what. */
export interface StageDescriptors {
  /** Its end of the socketpair. */
  readonly socket: number;
  /**
   * The guest's standard error. Until the stage puts it back in its place, what stands there is the socketpair, so
   * that the complaints of the program that makes the namespaces reach the engine and become one message.
   */
  readonly stderr: number;
  /** What else the guest inherits. */
  readonly inherited: readonly number[];
}

/** {@linkcode StageDescriptors} with the lowest free numbers for ours. */
export function stageDescriptors(inherited: readonly number[]): StageDescriptors {
  const free: number[] = [];
  for (let fd = 3; free.length < 2; fd++) if (!inherited.includes(fd)) free.push(fd);
  return { socket: free[0]!, stderr: free[1]!, inherited };
}

/** As words of a command line. */
export function formatStageDescriptors({ socket, stderr, inherited }: StageDescriptors): readonly string[] {
  return [socket, stderr, ...inherited].map(String);
}

/** The inverse of {@linkcode formatStageDescriptors}. */
export function parseStageDescriptors(words: readonly string[]): StageDescriptors {
  const [socket = -1, stderr = -1, ...inherited] = words.map(Number);
  return { socket, stderr, inherited };
}

/** Longest message; a configuration with a thousand-entry environment fits. */
export const STAGE_MESSAGE_MAX = 1 << 20;

/** One address of the guest's interface. */
export interface StageAddress {
  readonly address: string;
  readonly prefixLength: number;
}

/** The guest's interface. */
export interface StageDevice {
  readonly name: string;
  readonly mtu: number;
  /** Packets that may wait in the device; the kernel's default if absent. */
  readonly txQueueLength?: number;
  /** Colon-separated; the kernel picks one if absent. */
  readonly mac?: string;
  readonly addresses: readonly StageAddress[];
  /** Of the routes that come with IPv4 addresses; absent: 0. */
  readonly metric?: number;
  /** Default gateways, at most one per family. */
  readonly gateways: readonly string[];
  /** Other routes; without a gateway, to the link. */
  readonly routes?: readonly (StageAddress & { readonly gateway?: string })[];
}

/** An interface that is there before anybody knows its addresses. */
export interface StageTap {
  readonly name: string;
  readonly mac: string;
  /** Whether the kernel follows router advertisements; `routes`: but for the default route. */
  readonly routerAdvertisements: "no" | "yes" | "routes";
}

/** What comes with the word to go, where it was not known earlier. */
export interface StageLate {
  /** What is to become of each {@linkcode StageTap}. */
  readonly devices: readonly StageDevice[];
  readonly resolvConf: string;
}

/** The word to go. */
export interface StageGo {
  readonly go: true;
  readonly late?: StageLate;
  readonly shadows?: readonly StageShadowState[];
}

/**
 * An interface of the guest's stack, as the kernel is to show it in the guest's namespace: for programs that read `/proc/net`
 * and `/sys/class/net`, and for packet sockets. It leads nowhere; where those are, it has no address, so the kernel answers nothing on it.
 */
export interface StageShadow {
  readonly name: string;
  /** The same as in the stack: programs name interfaces by it. */
  readonly index: number;
  readonly mac: string;
}

/** What has become of a {@linkcode StageShadow} until the program starts: MTU, IPv4 routes, and, without packet sockets, IPv6 addresses. */
export type StageShadowState = StageDevice & Pick<StageShadow, "index">;

/** What is to be shown of the guest's stack beside its sockets. */
export interface StageShadows {
  readonly interfaces: readonly StageShadow[];
  /** Whether the program may have packet sockets on them. */
  readonly packets: boolean;
}

/** For attachment `sockets`. */
export interface StageSockets {
  /** Whether the stage is in network and mount namespaces of its own. */
  readonly ownNamespaces: boolean;
  /** Whether in a user namespace of its own, too. */
  readonly ownUserNamespace: boolean;
  /** Only in namespaces of its own. */
  readonly shadows?: StageShadows;
}

/** What the stage is to do. */
export interface StageConfig {
  /** The program's socket calls are trapped; there is no device then. */
  readonly sockets?: StageSockets;
  /** Absent: only `lo` is brought up. */
  readonly device?: StageDevice;
  /** External networks: their interfaces, if the guest's kernel is to have them. The rest comes with the word to go. */
  readonly taps?: readonly StageTap[];
  /** What resolv.conf says comes with the word to go, too. */
  readonly late?: true;
  /** Contents to show as /etc/resolv.conf, by a bind mount. Needs a mount namespace of our own. */
  readonly resolvConf?: string;
  /** Where the file for that bind mount may be made, on the host. */
  readonly scratch?: string;
  /** A directory that the guest must find empty: the one with the control sockets. */
  readonly hide?: string;
  /** The program to execute. Absent: the stage ends at the engine's word (`sluice attach`). */
  readonly program?: StageProgram;
}

/** The program that takes the stage's place. */
export interface StageProgram {
  readonly argv: readonly string[];
  /** Soft and hard RLIMIT_NOFILE to restore: script runtimes raise the soft one. */
  readonly noFile: readonly [soft: number, hard: number];
  /** Whether capabilities came from a user namespace of ours and must go. */
  readonly dropCapabilities: boolean;
}

/**
 * A descriptor for the engine: the far end of a shadow, a socket that sends frames on it in the guest's name, or the list
 * of the guest's packet sockets, which is the last of them.
 */
export interface StageHanded {
  readonly handed: "tap" | "sender" | "packets";
  /** Of the interface; 0 for the list. */
  readonly index: number;
}

/** What the stage answers. */
export type StageReply =
  | StageHanded
  | { readonly tap: true }
  | { readonly ready: true }
  /** With a descriptor to change the file by which the guest sees. */
  | { readonly resolvConf: true }
  /** Number of the seccomp listener in the process of that id. */
  | { readonly listener: number; readonly pid: number }
  | { readonly warning: string }
  /** Of no concern unless somebody looks for it. */
  | { readonly note: string }
  | { readonly failed: string; readonly status: number };

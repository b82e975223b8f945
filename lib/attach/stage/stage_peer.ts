/**
 * The engine's side of the stage: has the device made, lets the program start, and hears why if it does not.
 *
 * @module
 */

import { type ReceivedMessage, receiveMessage, sendMessage } from "../../host/fdpass.ts";
import { SystemError } from "../../host/errno.ts";
import { EpollEvents, type Reactor } from "../../host/reactor.ts";
import { ResolverFile } from "../../host/resolver_file.ts";
import { close } from "../../host/sys.ts";
import { setReceiveTimeout } from "../../host/socket_pair.ts";
import {
  STAGE_MESSAGE_MAX,
  type StageGo,
  type StageHanded,
  type StageLate,
  type StageReply,
  type StageShadowState,
} from "./protocol.ts";

/** How long the stage may take: it waits for nothing but the kernel. */
const PREPARE_SECONDS = 20;

/** Characters of somebody else's message that we repeat. */
const COMPLAINT_MAX = 1_000;

/** What the kernel's words mean when a namespace is refused: user_namespaces(7), and what distributions add. */
const ADVICE: readonly (readonly [words: RegExp, advice: string])[] = [
  [/\/proc.*Read-only file system/i, "/proc must be one that can be written: bwrap --proc /proc"],
  [/No space left on device/i, "the limit on user namespaces: sysctl user.max_user_namespaces"],
  [
    /unshare|bwrap|user namespace/i,
    "user namespaces must be allowed: sysctl kernel.unprivileged_userns_clone=1, or " +
    "kernel.apparmor_restrict_unprivileged_userns=0",
  ],
];

function namespaceError(complaint: string): Error {
  const why = complaint === "" ? "the program that makes them ended without a word" : complaint;
  const advice = ADVICE.find(([words]) => words.test(complaint))?.[1];
  return new Error(`Cannot make the guest's namespaces: ${why}${advice === undefined ? "" : ` (${advice})`}`);
}

/** A stage that waits at the other end of `fd`. */
export class Stage {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #log: (level: "debug" | "warn", text: string) => void;
  readonly #fail: (message: string, status: number) => void;
  readonly #onListener: ((listener: number, pid: number) => void) | undefined;
  #resolvers: ResolverFile | undefined;
  /** What resolv.conf was to say at first, and what it is to say now. */
  #resolvConfBefore = "";
  #resolvConf = "";
  #open = true;
  /** What the stage handed out beside its answers; the taker's to close. */
  readonly handed: (StageHanded & { readonly fd: number })[] = [];

  constructor(
    reactor: Reactor,
    fd: number,
    log: (level: "debug" | "warn", text: string) => void,
    fail: (message: string, status: number) => void,
    /** Takes over the listener of attachment `sockets`; throws if it cannot. */
    onListener?: (listener: number, pid: number) => void,
  ) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#log = log;
    this.#fail = fail;
    this.#onListener = onListener;
    setReceiveTimeout(fd, PREPARE_SECONDS);
  }

  /**
   * Hands the stage its configuration and waits until everything is made; blocks, before the loop begins.
   *
   * @returns what the stage hands out: the TAP, or where to ask for the guest's unix sockets; undefined for nothing
   * @throws {Error} with the stage's own words
   */
  prepare(config: string): number | undefined {
    return this.prepareAll(config, 1)[0];
  }

  /** As {@linkcode prepare}, for `count` answers with a descriptor each. */
  prepareAll(config: string, count: number): number[] {
    const bytes = new TextEncoder().encode(config);
    if (bytes.length > STAGE_MESSAGE_MAX) {
      throw new RangeError("Cannot start the stage: its configuration is too long");
    }
    try {
      sendMessage(this.#fd, bytes);
    } catch (error) {
      // It ended already; what it said is still to be read.
      if (!(error instanceof SystemError && error.code === "EPIPE")) throw error;
    }
    let complaint = "";
    const handedOut: number[] = [];
    for (let answers = 0; answers < count;) {
      const { bytes: answer, descriptors } = receiveMessage(this.#fd, STAGE_MESSAGE_MAX);
      if (answer.length === 0) throw namespaceError(complaint.trim());
      const text = new TextDecoder().decode(answer);
      if (!text.startsWith("{")) {
        complaint = (complaint + text).slice(0, COMPLAINT_MAX);
        continue;
      }
      const reply = JSON.parse(text) as StageReply;
      if ("failed" in reply) throw new Error(reply.failed);
      if ("warning" in reply) this.#log("warn", reply.warning);
      else if ("note" in reply) this.#log("debug", reply.note);
      else if ("handed" in reply) this.handed.push({ ...reply, fd: descriptors[0]! });
      else {
        answers++;
        if (descriptors[0] !== undefined) handedOut.push(descriptors[0]);
      }
    }
    return handedOut;
  }

  /**
   * Lets the program start, and listens for why it does not.
   *
   * @param late what was not known when the stage was prepared
   * @param shadows likewise
   */
  go(late?: StageLate, shadows?: readonly StageShadowState[]): void {
    this.#resolvConf = this.#resolvConfBefore = late?.resolvConf ?? "";
    const word: StageGo = {
      go: true,
      ...(late === undefined ? {} : { late }),
      ...(shadows === undefined ? {} : { shadows }),
    };
    sendMessage(this.#fd, new TextEncoder().encode(JSON.stringify(word)));
    this.#reactor.add(this.#fd, EpollEvents.in, this);
  }

  /** Has the guest read something else in its resolv.conf from now on. */
  showResolvConf(text: string): void {
    this.#resolvConf = text;
    try {
      this.#resolvers?.rewrite(text);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#log("warn", error.message);
    }
  }

  onReady(): void {
    const { bytes, descriptors } = this.#receive();
    // End of file: the descriptor was closed by a successful execve.
    if (bytes.length > 0) {
      const text = new TextDecoder().decode(bytes);
      if (!text.startsWith("{")) return this.#log("warn", text.trim());
      const reply = JSON.parse(text) as StageReply;
      if ("resolvConf" in reply) {
        this.#resolvers = new ResolverFile(descriptors[0]!, this.#resolvConfBefore);
        // It may have changed while the stage was at work.
        return this.showResolvConf(this.#resolvConf);
      }
      if ("listener" in reply) return this.#takeListener(reply.listener, reply.pid);
      if ("warning" in reply) return this.#log("warn", reply.warning);
      if ("note" in reply) return this.#log("debug", reply.note);
      if ("failed" in reply) this.#fail(reply.failed, reply.status);
    }
    this.close();
  }

  #takeListener(listener: number, pid: number): void {
    try {
      this.#onListener?.(listener, pid);
      sendMessage(this.#fd, new TextEncoder().encode('{"exec":true}'));
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error), 125);
      this.close();
    }
  }

  #receive(): ReceivedMessage {
    try {
      return receiveMessage(this.#fd, 4_096);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return { bytes: new Uint8Array(), descriptors: [] };
    }
  }

  /** Hears no more of the stage, which is the program by now, and changes nothing more. */
  end(): void {
    this.close();
    this.#resolvers?.close();
    this.#resolvers = undefined;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reactor.remove(this.#fd);
    close(this.#fd);
  }
}

/**
 * Attacks on a running sluice: a hostile guest, an innocent program beside it, servers of the host, and what must be true
 * of sluice afterwards.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { deepStrictEqual, ok } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, PROJECT, run, type RunOptions, type Scope } from "./e2e.ts";
import { Lab, LAB4 } from "./lab.ts";

/** Different in every run, unless `SLUICE_SEED` repeats one. */
export const SEED: number = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000_007);

/** Where the guest's and the host's programs are. */
const PROGRAMS = join(PROJECT, "tests", "e2e", "hostile");
/** An address of the lab's network that swallows everything. */
export const BLACK_HOLE = "198.51.100.77";
/** Resident memory that an attack may add, bytes: all limits of one guest together, and a collector's leisure. */
const GROWTH = 400e6;
/** Descriptors that are no flow's: the API's connections. */
const SLACK = 16;
/** Milliseconds after which the socket of a DNS question, which is no flow, must be gone. */
const LONGEST_QUESTION = 10_000;
/** Longest that anything of the innocent program may take, seconds, on a machine that does other things as well. */
const PATIENCE = 10;

/** What the innocent program of the guest saw. */
export interface Bystander {
  readonly downloads: number;
  readonly pings: number;
  readonly worst: number;
  readonly errors: readonly string[];
}

/** What the guest reports. */
export interface Report {
  readonly attack: Readonly<Record<string, unknown>>;
  readonly took: number;
  readonly bystander: Bystander;
}

/** How a session under attack is started. */
export interface ArenaOptions extends RunOptions {
  /** Global flags of sluice. */
  readonly flags?: readonly string[];
  /** What stands before sluice: `["prlimit", …]`. */
  readonly under?: readonly string[];
}

/** What `/v1/stats` says, as far as attacks are concerned. */
interface Stats {
  readonly counters: Readonly<Record<string, number>>;
}

/** The host that attacks are carried out in: servers, and a hole that swallows all. */
export class Arena {
  readonly lab: Lab;
  readonly ports: Readonly<Record<string, number>>;
  readonly #scope: Scope;

  private constructor(scope: Scope, lab: Lab, ports: Readonly<Record<string, number>>) {
    this.#scope = scope;
    this.lab = lab;
    this.ports = ports;
  }

  static async make(scope: Scope): Promise<Arena> {
    const lab = await Lab.make(scope);
    const hole = await lab.run([
      "ip",
      "neigh",
      "add",
      BLACK_HOLE,
      "lladdr",
      "02:00:00:00:00:77",
      "dev",
      "up0",
    ]);
    if (hole.status !== 0) throw new Error(`Cannot make a black hole: ${hole.stderr}`);
    const host = lab.start(["/usr/bin/python3", "-B", join(PROGRAMS, "host.py"), LAB4, `${SEED}`]);
    return new Arena(scope, lab, JSON.parse(await printed(host, /\}\n/)));
  }

  /** Starts sluice with the hostile guest in it, which waits. */
  async enter(attack: string, options: ArenaOptions = {}): Promise<Session> {
    const { flags = [], under = [], ...as } = options;
    const directory = this.#scope.directory();
    const child = this.lab.start(
      [
        ...under,
        this.#scope.binary(),
        "--attach=tap",
        "--id=arena",
        ...flags,
        "do",
        "--",
        "/usr/bin/python3",
        "-B",
        join(PROGRAMS, "guest.py"),
        attack,
        `${SEED}`,
        LAB4,
        JSON.stringify(this.ports),
      ],
      { ...as, env: { XDG_RUNTIME_DIR: directory } },
    );
    let stderr = "";
    child.stderr!.on("data", (chunk: Uint8Array) => stderr += new TextDecoder().decode(chunk));
    await printed(child, /^ready$/m);
    return new Session(child, join(directory, "sluice", "arena.sock"), () => stderr);
  }
}

/** A running sluice under attack. */
export class Session {
  readonly child: ChildProcess;
  readonly #api: string;
  readonly #stderr: () => string;
  readonly #before: { readonly rss: number; readonly descriptors: number };

  constructor(child: ChildProcess, api: string, stderr: () => string) {
    this.child = child;
    this.#api = api;
    this.#stderr = stderr;
    this.#before = { rss: this.rss(), descriptors: this.descriptors() };
  }

  /** What sluice has said so far. */
  get stderr(): string {
    return this.#stderr();
  }

  /** Resident memory of sluice, bytes. */
  rss(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, "utf8"))![1]) * 1024;
  }

  /** Open descriptors of sluice. */
  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Asks the control API. */
  async ask(path: string): Promise<unknown> {
    const argv = ["curl", "-sS", "--max-time", "10", "--unix-socket", this.#api, `http://sluice${path}`];
    const { status, stdout, stderr } = await run(argv);
    if (status !== 0) throw new Error(`Cannot ask ${path}: ${stderr}${this.#stderr()}`);
    return JSON.parse(stdout);
  }

  /** Says the word that the guest waits for. */
  say(word = ""): void {
    this.child.stdin!.write(`${word}\n`);
  }

  /** The guest's report, when the attack is over. */
  async report(): Promise<Report> {
    const said = await printed(this.child, /^\{"attack.*\}$/m).catch((error) => {
      throw new Error(`seed ${SEED}: ${error.message} ${this.#stderr()}`);
    });
    return JSON.parse(/^\{"attack.*\}$/m.exec(said)![0]);
  }

  /** The attack from its beginning to its end. */
  attack(): Promise<Report> {
    const report = this.report();
    this.say();
    return report;
  }

  /**
   * What must be true after every attack: sluice lives and answers, the innocent was not disturbed, memory and descriptors
   * are within bounds, and the counters name what happened.
   *
   * @returns the counters
   */
  async endured(report: Report, expected: readonly string[]): Promise<Readonly<Record<string, number>>> {
    const { downloads, pings, worst, errors } = report.bystander;
    const { counters } = await this.ask("/v1/stats") as Stats;
    const rss = this.rss();
    const { flows, descriptors } = await this.#settled();
    const grown = rss - this.#before.rss;
    const seen =
      `seed ${SEED}: ${JSON.stringify(report)}, ${flows.length} flows, ${descriptors} descriptors, ` +
      `${Math.round(this.#before.rss / 1e6)} to ${Math.round(rss / 1e6)} MB, counters ${
        JSON.stringify(counters)
      }, ` +
      `stderr ${this.#stderr()}`;
    if (process.env["SLUICE_VERBOSE"] === "1") console.log(seen);
    deepStrictEqual(errors, [], seen);
    ok(downloads > 0 && pings > 0, `the innocent got nothing: ${seen}`);
    ok(worst < PATIENCE, `the innocent waited ${worst} s: ${seen}`);
    ok(grown < GROWTH, `memory has grown: ${seen}`);
    ok(
      descriptors <= this.#before.descriptors + flows.length + SLACK,
      `descriptors without a flow: ${this.#before.descriptors} before; ${seen}`,
    );
    for (const name of expected) ok((counters[name] ?? 0) > 0, `nothing was counted as ${name}: ${seen}`);
    return counters;
  }

  /** Flows and descriptors, once none is open but for a flow, or after the longest that a DNS question may wait. */
  async #settled(): Promise<{ flows: readonly unknown[]; descriptors: number }> {
    const until = Date.now() + LONGEST_QUESTION;
    for (;;) {
      const flows = await this.ask("/v1/flows") as readonly unknown[];
      const descriptors = this.descriptors();
      if (descriptors <= this.#before.descriptors + flows.length + SLACK || Date.now() > until) {
        return { flows, descriptors };
      }
    }
  }

  /** Lets the guest go; resolves to sluice's exit status. */
  async leave(): Promise<number | null> {
    const over = new Promise<number | null>((resolve) => this.child.once("exit", resolve));
    this.say();
    return await over;
  }
}

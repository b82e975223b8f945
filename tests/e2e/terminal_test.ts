/** `sluice do` at a terminal: job control, keys, sizes, settings. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { Terminal, until } from "../support/tmux.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester", "tool:tmux");

/** States of the processes whose arguments are exactly `command`, as /proc tells them: R, S, T, Z. */
function states(command: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").slice(0, -1);
      if (words.join(" ") !== command) continue;
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      found.push(stat.slice(stat.lastIndexOf(")") + 2)[0]!);
    } catch {
      // Ended meanwhile.
    }
  }
  return found;
}

let serial = 0;
/** A sleep that no other test has. */
const uniqueSleep = () => `sleep 10000.${process.pid}${serial++}`;

for (const user of [undefined, "tester"]) {
  const who = user ?? "root";

  test(
    `a shell behind the stack has job control, keys and sizes (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const terminal = await Terminal.open(scope, user);
        const before = await terminal.ask("stty -g");
        terminal.type(`PS1='guest$ ' ${scope.binary()} do -- bash --norc --noprofile -i`);
        await terminal.shows(/^guest\$ *$/m);
        match(await terminal.ask("ip -br addr show eth0"), /10\.0\.2\.100/);

        // Ctrl-C ends the program and nothing else.
        const interrupted = uniqueSleep();
        terminal.type(interrupted);
        await until(() => states(interrupted).length === 1, () => "the program does not start");
        terminal.press("C-c");
        strictEqual(await terminal.ask("echo $?"), "130");

        // Ctrl-Z stops the program and not the shell.
        const stopped = uniqueSleep();
        terminal.type(stopped);
        await until(() => states(stopped).length === 1, () => "the program does not start");
        terminal.press("C-z");
        await terminal.shows(/Stopped\s+sleep/);
        strictEqual(states(stopped).join(), "T");
        match(await terminal.ask("bg; jobs; kill %1; wait %1; echo status $?"), /status 143/);
        strictEqual(states(stopped).length, 0);

        strictEqual(await terminal.ask("stty size"), "30 100");
        await terminal.ask("trap 'echo size changed' WINCH");
        terminal.resize(90, 25);
        await terminal.shows(/(?<!echo )size changed/);
        strictEqual(await terminal.ask("stty size"), "25 90");
        terminal.resize(100, 30);

        terminal.type("exit 5");
        await terminal.shows(/^host\$ *$(?![^]*guest)/m);
        strictEqual(await terminal.ask("echo $?"), "5");
        strictEqual(await terminal.ask("stty -g"), before);
      }),
  );

  test(`Ctrl-C on a program is exit status 130 (${who})`, MACHINE, () =>
    withScope(async (scope) => {
      const terminal = await Terminal.open(scope, user);
      terminal.type(`${scope.binary()} do -- sh -c 'echo ready; exec cat'`);
      await terminal.shows(/^ready$/m);
      terminal.type("echoed");
      await terminal.shows(/^echoed\nechoed$/m);
      terminal.press("C-c");
      await terminal.idle();
      strictEqual(await terminal.ask("echo $?"), "130");
    }));

  test(
    `Ctrl-Z stops program and sluice, and fg resumes them (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const terminal = await Terminal.open(scope, user);
        const sluice = scope.binary();
        const program = uniqueSleep();
        const all = () => [...states(program), ...states(`${sluice} do -- ${program}`)].join("");
        terminal.type(`${sluice} do -- ${program}`);
        await until(() => states(program).length === 1, () => "the program does not start");
        terminal.press("C-z");
        await terminal.shows(/Stopped/);
        await until(() => all() === "TT", () => `they are ${all()}`);
        terminal.type("fg");
        await until(() => all() === "SS", () => `they are ${all()}`);
        terminal.press("C-c");
        strictEqual(await terminal.ask("echo $?"), "130");
        strictEqual(all(), "");
      }),
  );

  test(
    `a program that takes the terminal raw leaves it as it was (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const terminal = await Terminal.open(scope, user);
        const before = await terminal.ask("stty -g");
        terminal.type(`${scope.binary()} do -- less -X /etc/services`);
        await terminal.shows(/^\/etc\/services/m);
        terminal.press("q");
        await terminal.idle();
        strictEqual(await terminal.ask("echo $?"), "0");
        strictEqual(await terminal.ask("stty -g"), before);
      }),
  );
}

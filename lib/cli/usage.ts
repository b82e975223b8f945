/**
 * The text of `help` and of docs/flags.md, made from the tables.
 *
 * @module
 */

import { type FlagGroup, FLAGS, type FlagSpec, isSwitch } from "../config/flag_table.ts";
import { dashed } from "../config/go_flags.ts";
import { ignoredFlags } from "../config/runsc_flags.ts";
import type { Command, CommandFlag } from "./command.ts";
import type { CommandEntry } from "./commands.ts";

/** Columns of text. */
const WIDTH = 100;
/** Column at which explanations begin. */
const INDENT = 34;

const TABLE: readonly FlagSpec[] = FLAGS;

/** `sluice help`. */
export function generalHelp(commands: readonly CommandEntry[]): string {
  const names = commands.map(({ name, aliases = [], summary }) =>
    item([name, ...aliases].join(", "), summary)
  );
  return `Any program, container or VM behind its own TCP/IP stack.

usage: sluice [flags] COMMAND …

commands:
${names.join("\n")}

flags, before the command; do, attach and serve take them after it, too:
${groupsOf("global")}

A flag is written -x=v, --x=v or --x v; a boolean stands alone or takes =true or =false.
exit status: the program's own, 128+n for signal n; 2 wrong usage, 125 sluice itself failed,
126 the program cannot be executed, 127 it was not found.
`;
}

/** `sluice help COMMAND`, `sluice COMMAND --help`. */
export function commandHelp(command: Command): string {
  const { name, aliases = [], summary, usage, details, flags = [], takesGlobalFlags, ignoredFlags } = command;
  const parts = [
    `${aliases.length === 0 ? name : `${name} (${aliases.join(", ")})`}: ${summary}\n`,
    usage.split("\n").map((line, i) => `${i === 0 ? "usage: " : "       "}${line.trim()}`).join("\n") + "\n",
  ];
  if (details !== undefined) parts.push(`${details.trim()}\n`);
  if (flags.length > 0) parts.push(`flags of ${name}:\n${flags.map(ownItem).join("\n")}\n`);
  if (name === "do") {
    parts.push(
      `flags of do only:\n${TABLE.filter((flag) => flag.scope === "do").map(tableItem).join("\n")}\n`,
    );
  }
  parts.push(
    takesGlobalFlags
      ? `flags:\n${groupsOf("global", ignoredFlags)}\n`
      : "sluice help lists the flags that go before the command.\n",
  );
  return parts.join("\n");
}

/** docs/flags.md. */
export function flagsPage(): string {
  const sections = groups("global").map(([group, flags]) => `## ${group}\n\n${flagTable(flags)}\n`);
  const only = TABLE.filter((flag) => flag.scope === "do");
  const ignored = ignoredFlags().map((name) => `\`${name}\``).sort().join(" ");
  return `# Flags

<!-- Made by scripts/gen_flags.ts from lib/config/flag_table.ts. Do not edit. -->

Written \`-x=v\`, \`--x=v\` or \`--x v\`; a boolean stands alone or takes \`=true\` or \`=false\`. They stand before the
command; \`do\`, \`attach\` and \`serve\` take them after it, too. \`--\` ends them. A whole number may be written as
in Go: \`0x\`, \`0o\` and \`0b\` prefixes, underscores between digits, no unit. What somebody sets and what means
nothing with the network at hand is named on stderr.

A value comes from, lowest first: the default, configuration files in order, the command line, annotations.
\`sluice config show\` prints each value with its origin. A repeatable flag adds up; given empty, it forgets
what was said before it.

${sections.join("\n")}
## After \`do\` only

${flagTable(only)}

## Flags of runsc

These mean nothing here. They are accepted, and one line on stderr names the ones that were ignored;
\`--strict\` makes that an error.

${wrap(ignored, 110).join("\n")}
`;
}

/** A Markdown table, its columns aligned as the formatter would. */
function flagTable(flags: readonly FlagSpec[]): string {
  const rows = [["flag", "default", "meaning"], ...flags.map(cells)];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join(
    "\n",
  );
}

function cells(flag: FlagSpec): string[] {
  const short = flag.short === undefined ? "" : `\`-${flag.short}\`, `;
  const value = flag.placeholder === undefined ? "" : ` ${flag.placeholder}`;
  const texts = [
    `${short}\`--${flag.name}${value}\``,
    flag.default === "" ? "" : `\`${flag.default}\``,
    flag.help + (flag.repeatable ? "; repeatable" : ""),
  ];
  return texts.map((text) => text.replaceAll("|", "\\|"));
}

function groups(scope: FlagSpec["scope"]): [FlagGroup, FlagSpec[]][] {
  const byGroup = new Map<FlagGroup, FlagSpec[]>();
  for (const flag of TABLE) {
    if (flag.scope !== scope) continue;
    const members = byGroup.get(flag.group) ?? [];
    members.push(flag);
    byGroup.set(flag.group, members);
  }
  return [...byGroup];
}

function groupsOf(scope: FlagSpec["scope"], without: ReadonlySet<string> = new Set()): string {
  return groups(scope)
    .map(([group, flags]) => [group, flags.filter(({ name }) => !without.has(name))] as const)
    .filter(([, flags]) => flags.length > 0)
    .map(([group, flags]) => ` ${group}\n${flags.map(tableItem).join("\n")}`).join("\n");
}

function tableItem(flag: FlagSpec): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const value = isSwitch(flag) || flag.placeholder === undefined ? "" : ` ${flag.placeholder}`;
  const fallback = flag.default === "" || flag.default === "false" ? "" : ` [${flag.default}]`;
  return item(`${short}--${flag.name}${value}`, flag.help + fallback);
}

function ownItem(flag: CommandFlag): string {
  const alias = flag.alias === undefined ? "" : `, ${dashed(flag.alias)}`;
  const value = flag.kind === "boolean" ? "" : ` ${flag.placeholder ?? "VALUE"}`;
  return item(`${dashed(flag.name)}${alias}${value}`, flag.help);
}

function item(head: string, text: string): string {
  const lines = wrap(text, WIDTH - INDENT);
  const indent = " ".repeat(INDENT);
  const first = `  ${head}`;
  if (first.length > INDENT - 2) return [first, ...lines.map((line) => indent + line)].join("\n");
  return lines.map((line, i) => (i === 0 ? first.padEnd(INDENT) : indent) + line).join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/**
 * The layer law as data: which folder may import which. `import type` counts.
 *
 * A rule names folders (or single files) by prefix. The longest prefix that matches a file decides. Everything may
 * import from its own folder.
 *
 * @module
 */

/** What the files below `from` may import. */
export interface Layer {
  readonly from: string;
  /** Prefixes of project files. */
  readonly project: readonly string[];
  /** npm packages and built-in modules (`node:`); `*` allows any. */
  readonly outside: readonly string[];
}

export const LAYERS: readonly Layer[] = [
  { from: "lib/stack/", project: [], outside: [] },
  { from: "lib/host/", project: [], outside: ["node:", "bun:"] },
  { from: "lib/link/", project: ["lib/stack/", "lib/host/"], outside: [] },
  { from: "lib/config/", project: ["lib/stack/wire/"], outside: ["smol-toml", "yaml"] },
  { from: "lib/attach/", project: ["lib/stack/", "lib/link/", "lib/host/", "lib/config/"], outside: [] },
  { from: "lib/uplink/", project: ["lib/stack/", "lib/link/", "lib/host/", "lib/config/"], outside: [] },
  {
    from: "lib/modes/",
    project: ["lib/attach/", "lib/uplink/", "lib/stack/", "lib/link/", "lib/config/", "lib/host/"],
    outside: [],
  },
  {
    from: "lib/engine/",
    project: ["lib/modes/", "lib/host/", "lib/stack/", "lib/config/"],
    outside: [],
  },
  // The messages are the one thing that control may know of the engine: types, and a class of errors.
  { from: "lib/engine/messages.ts", project: ["lib/stack/facts.ts"], outside: [] },
  { from: "lib/control/", project: ["lib/config/", "lib/engine/messages.ts"], outside: ["hono"] },
  {
    from: "lib/cli/",
    project: [
      "lib/config/",
      "lib/control/",
      "lib/engine/",
      "lib/modes/",
      "lib/attach/",
      "lib/host/",
      "lib/stack/wire/",
    ],
    outside: [],
  },
  { from: "cli.ts", project: ["lib/cli/", "lib/host/", "lib/attach/stage/stage.ts"], outside: [] },
  { from: "mod.ts", project: ["lib/stack/"], outside: [] },
  { from: "scripts/", project: ["lib/", "tests/", "mod.ts", "cli.ts"], outside: ["*"] },
  { from: "tests/", project: ["lib/", "scripts/", "mod.ts", "cli.ts"], outside: ["*"] },
];

/** Globals of a runtime that a pure folder must not name; `lib/host` may name all of them. */
export const IMPURE: readonly {
  readonly folders: readonly string[];
  readonly names: RegExp;
  readonly why: string;
}[] = [
  {
    folders: ["lib/stack/", "lib/config/"],
    names: /\b(Date\.now|new Date\b|Math\.random|setTimeout|setInterval|performance\.now|console\.|fetch\()/,
    why: "time, chance and I/O are handed in",
  },
  {
    folders: [
      "lib/stack/",
      "lib/link/",
      "lib/config/",
      "lib/attach/",
      "lib/uplink/",
      "lib/modes/",
      "lib/engine/",
      "lib/control/",
      "lib/cli/",
    ],
    names: /\b(Deno\.|Bun\.|process\.(env|argv|exit|on|pid|stdout|stderr)|globalThis\.(Deno|Bun|process))/,
    why: "only lib/host knows the runtime",
  },
];

/** No file may be longer. Tables may. */
export const MAX_LINES = 600;

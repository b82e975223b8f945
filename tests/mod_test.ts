/**
 * The examples of the library's door, run as they are printed.
 *
 * @module
 */

import { equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as door from "../mod.ts";

const SOURCE = readFileSync(new URL("../mod.ts", import.meta.url), "utf8");

/** The code blocks of the module documentation. */
function examples(): string[] {
  return [...SOURCE.matchAll(/^ \* ```ts\n([\s\S]*?)^ \* ```/gm)].map((match) =>
    match[1]!.replaceAll(/^ \* ?/gm, "")
  );
}

const imported = /^import \{([^}]*)\} from "@sluice\/sluice";\n/;
/** Enough of TypeScript for an example: annotations that a script cannot have. */
const annotations = [/ as [A-Z]\w*(?:<[\w<>]*>)?/g, /\): void/g, /(?<=[\w\])])!(?!=)/g] as const;

test("mod.ts has an example", () => equal(examples().length, 1));

for (const [i, example] of examples().entries()) {
  test(`mod.ts example ${i + 1} runs`, async () => {
    const names = imported.exec(example)?.[1]?.split(",").map((name) => name.trim()) ?? [];
    ok(names.length > 0);
    let script = example.replace(imported, "");
    for (const annotation of annotations) {
      script = script.replaceAll(annotation, (text) => text.startsWith(")") ? ")" : "");
    }
    const values = names.filter((name) => !name.startsWith("type "));
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    await new AsyncFunction(...values, script)(...values.map((name) => door[name as keyof typeof door]));
  });
}

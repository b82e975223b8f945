/** The page of socket options in docs/. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { LEVELS } from "../../../../lib/attach/sockets/options/names.ts";
import { optionsPage } from "../../../../lib/attach/sockets/options/page.ts";

test("docs/socket_options.md is what the tables say (scripts/gen_socket_options.ts makes it)", () => {
  const page = readFileSync(new URL("../../../../docs/socket_options.md", import.meta.url), "utf8");
  strictEqual(page, optionsPage());
});

test("no option is named that is not in its table", () => {
  for (const { options, names, title } of LEVELS) {
    const unknown = Object.keys(names).filter((number) => options[Number(number)] === undefined);
    deepStrictEqual(unknown, [], title);
  }
});

/**
 * Writes docs/flags.md from the flag table.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { flagsPage } from "../lib/cli/usage.ts";

writeFileSync(new URL("../docs/flags.md", import.meta.url), flagsPage());

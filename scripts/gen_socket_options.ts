/**
 * Writes docs/socket_options.md from the tables of socket options.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { optionsPage } from "../lib/attach/sockets/options/page.ts";

writeFileSync(new URL("../docs/socket_options.md", import.meta.url), optionsPage());

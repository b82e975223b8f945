/**
 * Checks the layer law of `layers.ts` over every file of the project, and the length of files.
 *
 * Run as `bun scripts/check_layers.ts`; exits 1 and names every offender if the law is broken.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { execFileSync } from "node:child_process";
import { IMPURE, type Layer, LAYERS, MAX_LINES } from "./layers.ts";

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** Comments and string contents blanked, so that prose about `Date.now` offends nobody. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " ")).replace(
    /(^|[^:"'`\\])\/\/[^\n]*/g,
    "$1",
  );
}

function layerOf(file: string): Layer | undefined {
  let best: Layer | undefined;
  for (const layer of LAYERS) {
    if (file.startsWith(layer.from) && (best === undefined || layer.from.length > best.from.length)) {
      best = layer;
    }
  }
  return best;
}

function folderOf(layer: Layer): string {
  return layer.from.endsWith("/") ? layer.from : dirname(layer.from) + "/";
}

/** Every way in which `file` breaks the law. */
export function offences(file: string, text: string): string[] {
  const found: string[] = [];
  const layer = layerOf(file);
  if (layer === undefined) return [`${file}: belongs to no layer; add it to scripts/layers.ts`];
  const source = code(text);
  for (const match of source.matchAll(IMPORT)) {
    const target = match[1] ?? match[2]!;
    if (target.startsWith(".")) {
      const path = normalize(join(dirname(file), target));
      const allowed = path.startsWith(folderOf(layer)) && layer.from.endsWith("/") ||
        layer.project.some((prefix) => path.startsWith(prefix));
      if (!allowed) {
        found.push(
          `${file}: imports ${path}; ${layer.from} may import ${
            layer.project.join(" ") || "nothing outside itself"
          }`,
        );
      }
    } else {
      const allowed = layer.outside.some((prefix) =>
        prefix === "*" || target === prefix || target.startsWith(prefix.endsWith(":") ? prefix : prefix + "/")
      );
      if (!allowed) {
        found.push(
          `${file}: imports ${target}; ${layer.from} may import ${layer.outside.join(" ") || "no package"}`,
        );
      }
    }
  }
  for (const rule of IMPURE) {
    if (!rule.folders.some((folder) => file.startsWith(folder))) continue;
    const match = rule.names.exec(source);
    if (match !== null) {
      const line = source.slice(0, match.index).split("\n").length;
      found.push(`${file}:${line}: names ${match[0]}: ${rule.why}`);
    }
  }
  const lines = text.split("\n").length - 1;
  if (lines > MAX_LINES && !/@table\b/.test(text)) {
    found.push(`${file}: has ${lines} lines; ${MAX_LINES} is the most`);
  }
  return found;
}

/** Files of the tree that the law covers. */
export function projectFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"], {
    encoding: "utf8",
  });
  return [...new Set(listed.split("\n"))].filter((file) => file !== "" && !file.endsWith(".d.ts")).sort();
}

if (import.meta.main) {
  const found = projectFiles().flatMap((file) => {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      return []; // deleted, not yet committed
    }
    return offences(file, text);
  });
  for (const offence of found) console.error(offence);
  console.log(`layers: ${projectFiles().length} files, ${found.length} offences`);
  process.exit(found.length === 0 ? 0 : 1);
}

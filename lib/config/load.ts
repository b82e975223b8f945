/**
 * Configuration files, bundles and manifests → assignments. Reading is somebody else's: the caller hands in
 * `readText`.
 *
 * @module
 */

import { Collector, type FileContents } from "./document.ts";
import type { Assignment } from "./origin.ts";

/** How to read files, and which runtime of Docker's is meant. */
export interface LoadOptions {
  readonly runtime?: string | undefined;
  /** The text of a file; rejects or throws with the system's reason. */
  readText(path: string): string | Promise<string>;
}

/** Reads one file; what is wrong with it is part of the answer. */
export async function loadFile(path: string, options: LoadOptions): Promise<FileContents> {
  const format = /\.(json|toml|ya?ml)$/.exec(path)?.[1];
  const into = new Collector(path);
  if (format === undefined) {
    into.problem(undefined, "cannot tell its format", "name it .json or .toml, or .yaml if it is gvproxy's");
    return into;
  }
  const text = await read(into, path, options);
  if (text === undefined) return into;
  // Parsers are loaded when they are needed: most runs have no file at all.
  if (format === "json") return (await import("./file_json.ts")).readJsonFile(path, text, options.runtime);
  if (format === "toml") return (await import("./file_toml.ts")).readTomlFile(path, text);
  return (await import("./file_gvproxy.ts")).readGvproxyFile(path, text);
}

/**
 * Reads every source that a command line names, and those that its files name: configuration files in order, before
 * the line itself; then the annotations of a pod and of a bundle. What is wrong is part of the answer.
 */
export async function loadSources(
  line: readonly Assignment[],
  readText: LoadOptions["readText"],
): Promise<FileContents> {
  const textsOf = (list: readonly Assignment[], flag: string) =>
    list.filter((one) => one.flag === flag).map((one) => one.text);
  const runtime = textsOf(line, "runtime").at(-1);
  const read: FileContents[] = [];
  for (const path of textsOf(line, "config")) {
    if (path !== "") read.push(await loadFile(path, { runtime, readText }));
  }
  const operator = [...read.flatMap((contents) => contents.assignments), ...line];
  const tenant: FileContents[] = [];
  const pod = textsOf(operator, "pod").at(-1) ?? "";
  if (pod !== "") tenant.push(await loadPod(pod, { readText }));
  const bundle = textsOf(operator, "bundle").at(-1) ?? "";
  if (bundle !== "") tenant.push(await loadBundle(bundle, { readText }));
  return {
    assignments: [...operator, ...tenant.flatMap((contents) => contents.assignments)],
    ignored: read.flatMap((contents) => contents.ignored),
    problems: [...read, ...tenant].flatMap((contents) => contents.problems),
  };
}

/** Reads the annotations of `FILE`, or of the pod that `FILE.yaml#NAME` chooses. */
async function loadPod(what: string, options: LoadOptions): Promise<FileContents> {
  const [, path = what, name] = /^(.+\.(?:ya?ml|json))#([^#/]+)$/.exec(what) ?? [];
  const into = new Collector(path);
  const text = await read(into, path, options);
  if (text === undefined) return into;
  return await (await import("./annotation_sources.ts")).readPod(path, text, name);
}

/** Reads the annotations of an OCI bundle's directory. */
async function loadBundle(directory: string, options: LoadOptions): Promise<FileContents> {
  const path = `${directory.replace(/(?<=.)\/+$/, "")}/config.json`;
  const into = new Collector(path);
  const text = await read(into, path, options);
  return text === undefined ? into : (await import("./annotation_sources.ts")).readBundle(path, text);
}

async function read(into: Collector, path: string, options: LoadOptions): Promise<string | undefined> {
  try {
    return await options.readText(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    into.problem(undefined, `cannot be read: ${why.replace(`Cannot read ${path}: `, "")}`);
    return undefined;
  }
}

/**
 * YAML → the nodes of json_reader.ts. The one place that knows the YAML parser; loaded only when there is such a file.
 *
 * Kubernetes reads YAML 1.1 (`yes` is a boolean, `010` is eight, `<<` merges), so this does, too. Anchors are
 * shared, never copied, so a document of aliases of aliases is no larger than its text; what merge keys copy is
 * counted. Nesting is bounded, and so is the text by whoever reads it.
 *
 * @module
 */

import { isAlias, isMap, isNode, isScalar, isSeq, type Node, type Pair, parseAllDocuments } from "yaml";
import type { JsonMember, JsonNode } from "./json_reader.ts";

/** Not YAML, or more of it than anybody needs. */
export class YamlError extends SyntaxError {
  override readonly name: string = "YamlError";
  constructor(message: string, readonly at: number) {
    super(message);
  }
}

/** Deeper nesting is refused rather than recursed into. */
const MAX_DEPTH = 64;
/** Names that merge keys may copy, all together. */
const MAX_MERGED = 10_000;

/** Every document of the text that is not empty. Throws {@linkcode YamlError} for the first thing that is wrong. */
export function readYaml(text: string): readonly JsonNode[] {
  let documents: ReturnType<typeof parseAllDocuments>;
  try {
    // The parser compares every key with every other: we do it with a set.
    documents = parseAllDocuments(text, {
      version: "1.1",
      uniqueKeys: false,
      intAsBigInt: true,
      prettyErrors: false,
      logLevel: "silent",
    });
  } catch (error) {
    // The parser recurses; a text of ten thousand brackets exhausts its stack.
    if (error instanceof RangeError) throw new YamlError("nested too deep", 0);
    throw error;
  }
  const roots: JsonNode[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      // Where it notices itself that its stack is exhausted.
      const tooDeep = error.code === "RESOURCE_EXHAUSTION";
      throw new YamlError(tooDeep ? "nested too deep" : error.message, error.pos[0]);
    }
    if (document.contents !== null) roots.push(new Converter().node(document.contents, 0));
  }
  return roots.filter((root) => root.kind !== "null");
}

class Converter {
  readonly #anchors = new Map<string, JsonNode>();
  #merged = 0;

  node(node: unknown, depth: number): JsonNode {
    if (!isNode(node)) return { at: 0, kind: "null" };
    const at = node.range?.[0] ?? 0;
    if (depth > MAX_DEPTH) throw new YamlError(`nested deeper than ${MAX_DEPTH}`, at);
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) throw new YamlError(`*${node.source} refers to nothing before it`, at);
      return { ...target, at };
    }
    const made = this.#make(node, at, depth);
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) this.#anchors.set(anchor, made);
    return made;
  }

  #make(node: Node, at: number, depth: number): JsonNode {
    if (isSeq(node)) {
      return {
        at,
        kind: "array",
        items: node.items.map((item) => this.node(item, depth + 1)),
      };
    }
    if (isMap(node)) return { at, kind: "object", members: this.#members(node.items, depth) };
    const { value, source } = node as { value?: unknown; source?: string };
    switch (typeof value) {
      case "string":
        return { at, kind: "string", text: value };
      case "bigint":
      case "number":
        return { at, kind: "number", text: source ?? String(value) };
      case "boolean":
        return { at, kind: "boolean", value };
    }
    // A date is text to Kubernetes. Bytes and what else there are tags for have no meaning in a manifest.
    if (value instanceof Date) return { at, kind: "string", text: source ?? "" };
    if (value === null || value === undefined) return { at, kind: "null" };
    throw new YamlError("a value with a tag that has no meaning here", at);
  }

  #members(pairs: readonly Pair[], depth: number): JsonMember[] {
    const members = new Map<string, JsonMember>();
    const merges: JsonNode[] = [];
    for (const { key, value } of pairs) {
      const at = isNode(key) ? key.range?.[0] ?? 0 : 0;
      if (isMergeKey(key)) {
        merges.push(this.node(value, depth + 1));
        continue;
      }
      const name = this.node(key, depth + 1);
      // A number or a boolean as a name is one in JSON's sense: its text.
      if (name.kind === "array" || name.kind === "object") throw new YamlError("a name must be a string", at);
      const text = name.kind === "null" ? "" : name.kind === "boolean" ? String(name.value) : name.text;
      if (members.has(text)) throw new YamlError(`the name ${JSON.stringify(text)} is repeated`, at);
      members.set(text, { name: text, at, value: this.node(value, depth + 1) });
    }
    for (const merged of merges) this.#merge(members, merged);
    return [...members.values()];
  }

  /** The mapping's own names win over merged ones, and those of an earlier mapping over those of a later one. */
  #merge(members: Map<string, JsonMember>, from: JsonNode): void {
    const sources = from.kind === "array" ? from.items : [from];
    for (const source of sources) {
      if (source.kind !== "object") throw new YamlError("<< needs a mapping or a list of mappings", from.at);
      this.#merged += source.members.length;
      if (this.#merged > MAX_MERGED) throw new YamlError(`<< copies more than ${MAX_MERGED} names`, from.at);
      for (const member of source.members) if (!members.has(member.name)) members.set(member.name, member);
    }
  }
}

function isMergeKey(key: unknown): boolean {
  if (!isScalar(key)) return false;
  return typeof key.value === "symbol" || key.value === "<<" && key.type === "PLAIN";
}

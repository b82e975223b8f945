/**
 * Annotations of a container: of an OCI bundle's `config.json`, and of a pod in a Kubernetes manifest. Both become
 * assignments of the flag `annotation`; what they ask for is decided in tenant.ts.
 *
 * Such a file is written by somebody whom the operator does not trust: every kind of value may be anywhere in it.
 *
 * @module
 */

import { Collector, type FileContents, nameOfJson } from "./document.ts";
import { type JsonMember, type JsonNode, JsonSyntaxError, lineIndex, readJson } from "./json_reader.ts";
import { isPolicy } from "./tenant.ts";

/** As in Kubernetes: names and values of all annotations together, characters. */
export const MAX_ANNOTATIONS_SIZE = 262_144;
/** Longest manifest, characters: twice all annotations. The YAML parser's time for hostile text grows with the square. */
export const MAX_MANIFEST = 524_288;

/** Reads an OCI bundle's `config.json` (OCI runtime specification, `annotations`). */
export function readBundle(path: string, text: string): FileContents {
  const into = new Collector(path);
  const root = readJsonRoot(into, text);
  if (root === undefined) return into;
  if (root.kind !== "object") {
    into.problem({ line: 1, column: 1 }, "must be an object, as an OCI bundle has it");
  } else addAnnotations(into, member(root, "annotations")?.value, lineIndex(text));
  return into;
}

/**
 * Reads the pod of a Kubernetes manifest, YAML or JSON, of one or more documents: of a Pod itself, or the template of
 * what makes pods. `name` (of `metadata.name`) chooses among several.
 */
export async function readPod(path: string, text: string, name?: string): Promise<FileContents> {
  const into = new Collector(path);
  if (text.length > MAX_MANIFEST) {
    into.problem(undefined, `has ${text.length} characters: the limit for a manifest is ${MAX_MANIFEST}`);
    return into;
  }
  const roots = await readManifest(into, text);
  if (roots === undefined) return into;
  const place = lineIndex(text);
  const objects = roots.flatMap(unlisted);
  const pods = objects.flatMap((object) => podOf(object));
  const wanted = name === undefined ? pods : pods.filter((pod) => pod.name === name);
  const [pod] = wanted;
  if (pod === undefined || wanted.length > 1) {
    const names = pods.map((one) => one.name).join(", ");
    if (pods.length > 0) {
      const what = pod === undefined
        ? `holds no pod named ${JSON.stringify(name)}`
        : `holds ${wanted.length} pods`;
      into.problem(undefined, what, `choose one with --pod FILE#NAME: ${names}`);
      return into;
    }
    const kinds = [...new Set(objects.map((object) => textOf(object, "kind") ?? "something without a kind"))];
    into.problem(undefined, kinds.length === 0 ? "holds nothing" : `holds no pod, only ${kinds.join(", ")}`);
    return into;
  }
  addAnnotations(into, pod.annotations, place);
  return into;
}

interface FoundPod {
  readonly name: string;
  readonly annotations: JsonNode | undefined;
}

/** Where each kind keeps the metadata of its pods. */
const POD_METADATA: Readonly<Record<string, readonly string[]>> = {
  Pod: ["metadata"],
  PodTemplate: ["template", "metadata"],
  Deployment: ["spec", "template", "metadata"],
  ReplicaSet: ["spec", "template", "metadata"],
  ReplicationController: ["spec", "template", "metadata"],
  StatefulSet: ["spec", "template", "metadata"],
  DaemonSet: ["spec", "template", "metadata"],
  Job: ["spec", "template", "metadata"],
  CronJob: ["spec", "jobTemplate", "spec", "template", "metadata"],
};

function podOf(object: JsonNode): readonly FoundPod[] {
  const kind = textOf(object, "kind") ?? "";
  if (!Object.hasOwn(POD_METADATA, kind)) return [];
  const name = textOf(at(object, ["metadata"]), "name") ?? "";
  return [{ name, annotations: at(object, [...POD_METADATA[kind]!, "annotations"]) }];
}

/** The objects of a `List`, as `kubectl get -o yaml` prints several; any other object itself. */
function unlisted(object: JsonNode): readonly JsonNode[] {
  const items = textOf(object, "kind")?.endsWith("List") === true ? at(object, ["items"]) : undefined;
  return items?.kind === "array" ? items.items : [object];
}

function addAnnotations(
  into: Collector,
  annotations: JsonNode | undefined,
  place: ReturnType<typeof lineIndex>,
): void {
  if (annotations === undefined || annotations.kind === "null") return;
  if (annotations.kind !== "object") {
    into.problem(
      place(annotations.at),
      `annotations must be an object of strings, not ${nameOfJson(annotations)}`,
    );
    return;
  }
  let size = 0;
  for (const { name, at, value } of annotations.members) {
    if (value.kind !== "string") {
      const hint = value.kind === "number" || value.kind === "boolean" ? "put it in quotes" : undefined;
      const what = nameOfJson(value);
      into.problem(place(value.at), `annotation ${JSON.stringify(name)} must be a string, not ${what}`, hint);
      continue;
    }
    size += name.length + value.text.length;
    if (size > MAX_ANNOTATIONS_SIZE) {
      into.problem(place(at), `annotations have more than ${MAX_ANNOTATIONS_SIZE} characters`);
      return;
    }
    // On a command line an equals sign ends the name. No flag and no network has one; other annotations are not ours.
    if (!name.includes("=") && name !== "") into.annotation(name, value.text, place(at));
    else if (isPolicy(name)) {
      into.problem(place(at), `annotation ${JSON.stringify(name)} has "=" in its name`);
    }
  }
}

async function readManifest(into: Collector, text: string): Promise<readonly JsonNode[] | undefined> {
  if (/^\s*\{/.test(text)) {
    const root = readJsonRoot(into, text);
    return root === undefined ? undefined : [root];
  }
  const { readYaml, YamlError } = await import("./yaml_reader.ts");
  try {
    return readYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    into.problem(lineIndex(text)(error.at), `not YAML: ${error.message}`);
    return undefined;
  }
}

function readJsonRoot(into: Collector, text: string): JsonNode | undefined {
  try {
    return readJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    into.problem(lineIndex(text)(error.at), `not JSON: ${error.message}`);
    return undefined;
  }
}

function at(node: JsonNode | undefined, path: readonly string[]): JsonNode | undefined {
  return path.reduce((inner: JsonNode | undefined, name) => member(inner, name)?.value, node);
}

function textOf(node: JsonNode | undefined, name: string): string | undefined {
  const value = member(node, name)?.value;
  return value?.kind === "string" ? value.text : undefined;
}

function member(node: JsonNode | undefined, name: string): JsonMember | undefined {
  return node?.kind === "object" ? node.members.find((one) => one.name === name) : undefined;
}

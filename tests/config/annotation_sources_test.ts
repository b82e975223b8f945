import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  MAX_ANNOTATIONS_SIZE,
  MAX_MANIFEST,
  readBundle,
  readPod,
} from "../../lib/config/annotation_sources.ts";
import type { FileContents } from "../../lib/config/document.ts";
import { formatProblem } from "../../lib/config/origin.ts";

const said = ({ assignments, problems }: FileContents) => {
  deepStrictEqual(problems.map(formatProblem), []);
  return assignments.map(({ flag, text, origin }) => {
    ok(flag === "annotation" && origin.kind === "annotation" && text.startsWith(`${origin.key}=`));
    return `${text} @${origin.line}:${origin.column}`;
  });
};
const problems = (contents: FileContents) => contents.problems.map(formatProblem);

test("readBundle() reads the annotations and their places", () => {
  const text = `{\n  "ociVersion": "1.2.0",\n  "annotations": {\n    "a.b/c": "d=e",\n    "x": ""\n  }\n}`;
  deepStrictEqual(said(readBundle("/b/config.json", text)), ["a.b/c=d=e @4:5", "x= @5:5"]);
});

for (const text of ["{}", '{"annotations": null}', '{"annotations": {}}']) {
  test(`readBundle() is content with ${text}`, () => deepStrictEqual(said(readBundle("c", text)), []));
}

const BAD_BUNDLES: [text: string, ...want: string[]][] = [
  ["", "c:1:1: not JSON: expected a value, found the end"],
  ["[]", "c:1:1: must be an object, as an OCI bundle has it"],
  ["7", "c:1:1: must be an object, as an OCI bundle has it"],
  ['{"annotations": []}', "c:1:17: annotations must be an object of strings, not a list"],
  ['{"annotations": "x"}', "c:1:17: annotations must be an object of strings, not a string"],
  ['{"annotations": {"a": 1}}', 'c:1:23: annotation "a" must be a string, not a number (put it in quotes)'],
  [
    '{"annotations": {"a": true}}',
    'c:1:23: annotation "a" must be a string, not a boolean (put it in quotes)',
  ],
  ['{"annotations": {"a": null}}', 'c:1:23: annotation "a" must be a string, not null'],
  ['{"annotations": {"a": {}}}', 'c:1:23: annotation "a" must be a string, not an object'],
  ['{"annotations": {"a": ["x"]}}', 'c:1:23: annotation "a" must be a string, not a list'],
  ['{"annotations": {"a": "x", "a": "y"}}', 'c:1:28: not JSON: the name "a" is repeated'],
  ['{"annotations": {}, "annotations": {}}', 'c:1:21: not JSON: the name "annotations" is repeated'],
  [
    '{"annotations": {"dev.gvisor.flag.x=y": "z"}}',
    'c:1:18: annotation "dev.gvisor.flag.x=y" has "=" in its name',
  ],
  [
    `{"annotations": {"a": "${"x".repeat(MAX_ANNOTATIONS_SIZE)}"}}`,
    "c:1:18: annotations have more than 262144 characters",
  ],
  [`${'{"a":'.repeat(70)}1${"}".repeat(70)}`, "c:1:326: not JSON: nested deeper than 64"],
];
for (const [text, ...want] of BAD_BUNDLES) {
  test(`readBundle() refuses ${text.slice(0, 60)}`, () =>
    deepStrictEqual(problems(readBundle("c", text)), want));
}

test("readBundle() passes over other annotations with an equals sign in their names", () => {
  deepStrictEqual(said(readBundle("c", '{"annotations": {"a=b": "c", "": "d", "e": "f"}}')), ["e=f @1:39"]);
});

const META = `metadata: {name: web, annotations: {k: v}}`;
const TEMPLATE = `template: {${META}}`;
const PODS: [what: string, text: string, name?: string][] = [
  ["a pod", `apiVersion: v1\nkind: Pod\n${META}`],
  ["a pod in JSON", `{"kind": "Pod", "metadata": {"annotations": {"k": "v"}}}`],
  ["a pod in JSON with tabs", `{\n\t"kind": "Pod",\n\t"metadata": {\n\t\t"annotations": {"k": "v"}}}`],
  ["a pod template", `kind: PodTemplate\n${TEMPLATE}`],
  ...["Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"].map(
    (
      kind,
    ): [string, string] => [
      `a ${kind}`,
      `kind: ${kind}\nmetadata: {annotations: {k: no}}\nspec: {${TEMPLATE}}`,
    ],
  ),
  ["a CronJob", `kind: CronJob\nspec: {jobTemplate: {spec: {${TEMPLATE}}}}`],
  ["a pod among other documents", `---\nkind: Service\n---\n# nothing\n---\nkind: Pod\n${META}\n---\n`],
  ["a pod in a list", `kind: List\nitems: [{kind: Service}, {kind: Pod, ${META}}]`],
  ["the pod that is named", `kind: Pod\nmetadata: {name: db}\n---\nkind: Pod\n${META}`, "web"],
  ["anchors and aliases", `kind: Pod\nx: &v v\nmetadata: &m {annotations: {k: *v}}`],
  ["merge keys", `kind: Pod\nx: &base {k: v, j: 7}\nmetadata: {annotations: {<<: *base, j: v}}`],
  ["a list of merge keys", `kind: Pod\nx: [&a {k: v}, &b {k: w}]\nmetadata: {annotations: {<<: [*a, *b]}}`],
  ["a byte order mark", `\ufeffkind: Pod\n${META}`],
  ["a directive", `%YAML 1.1\n---\nkind: Pod\n${META}`],
  ["a tag", `kind: Pod\nmetadata: {annotations: {k: !!str v}}`],
];
for (const [what, text, name] of PODS) {
  test(`readPod() reads ${what}`, async () => {
    const [first] = said(await readPod("p", text, name));
    match(first!, /^[jk]=v @/);
  });
}

test("readPod() knows the places of annotations", async () => {
  const text =
    `kind: Pod\nmetadata:\n  annotations:\n    a: "1"\n    b: |\n      two\n      lines\n    'c': 3 words`;
  deepStrictEqual(said(await readPod("p", text)), ["a=1 @4:5", "b=two\nlines\n @5:5", "c=3 words @8:5"]);
});

test("readPod() takes a date for the text that it is", async () => {
  const [date] = said(await readPod("p", "kind: Pod\nmetadata: {annotations: {built: 2026-01-02}}"));
  match(date!, /^built=2026-01-02 /);
});

const pod = (annotations: string) => `kind: Pod\nmetadata:\n  annotations:\n    ${annotations}`;
const BAD_PODS: [text: string, want: RegExp][] = [
  ["", /^p: holds nothing$/],
  ["---\n---\n", /^p: holds nothing$/],
  ["# only a comment", /^p: holds nothing$/],
  ["just words", /^p: holds no pod, only something without a kind$/],
  ["kind: Service\n---\nkind: ConfigMap\n---\nkind: Service", /^p: holds no pod, only Service, ConfigMap$/],
  ["kind: [Pod]", /^p: holds no pod, only something without a kind$/],
  ["kind: __proto__", /^p: holds no pod, only __proto__$/],
  ["kind: constructor", /^p: holds no pod, only constructor$/],
  ["kind: Pod\n---\nkind: Pod", /^p: holds 2 pods \(choose one with --pod FILE#NAME: , \)$/],
  [pod("a: 12500000"), /^p:4:8: annotation "a" must be a string, not a number \(put it in quotes\)$/],
  [pod("a: 0x10"), /must be a string, not a number/],
  [pod("a: 1.5"), /must be a string, not a number/],
  [pod("a: .inf"), /must be a string, not a number/],
  [pod("a: true"), /must be a string, not a boolean/],
  [pod("a: yes"), /must be a string, not a boolean/],
  [pod("a: ~"), /must be a string, not null/],
  [pod("a:"), /must be a string, not null/],
  [pod("a: {b: c}"), /must be a string, not an object/],
  [pod("a: [b]"), /must be a string, not a list/],
  [pod("- a"), /^p:4:5: annotations must be an object of strings, not a list$/],
  [pod("a: !!binary aGk="), /a value with a tag that has no meaning here$/],
  [pod("a: x\n    a: y"), /^p:5:5: not YAML: the name "a" is repeated$/],
  [pod("1: x\n    '1': y"), /the name "1" is repeated$/],
  [pod("? [a]\n    : b"), /a name must be a string$/],
  [pod("a: *nowhere"), /not YAML: /],
  ["kind: Pod\nmetadata: &m {annotations: *m}", /^p:2:28: not YAML: \*m refers to nothing before it$/],
  ["kind: Pod\nmetadata: {<<: 7}", /<< needs a mapping or a list of mappings$/],
  ["kind: Pod\n\tx: y", /^p:\d+:\d+: not YAML: /],
  ['kind: "Pod', /^p:\d+:\d+: not YAML: /],
  ["a: b: c", /^p:\d+:\d+: not YAML: /],
  ["{", /^p:1:2: not JSON: /],
  ["[".repeat(100_000), /^p:\d+:\d+: not YAML: nested too deep$/],
  [`a: ${"[".repeat(80)}${"]".repeat(80)}`, /not YAML: nested deeper than 64$/],
  ["x".repeat(MAX_MANIFEST + 1), /^p: has 524289 characters: the limit for a manifest is 524288$/],
];
for (const [text, want] of BAD_PODS) {
  test(`readPod() refuses ${JSON.stringify(text.slice(0, 60))}`, async () => {
    const [first = "no problem", ...rest] = problems(await readPod("p", text));
    match(first, want);
    strictEqual(rest.length, 0);
  });
}

test("readPod() refuses a name that no pod has", async () => {
  deepStrictEqual(problems(await readPod("p", `kind: Pod\n${META}`, "db")), [
    'p: holds no pod named "db" (choose one with --pod FILE#NAME: web)',
  ]);
});

test("readPod() is not grown by a document of aliases of aliases", async () => {
  const levels = Array.from({ length: 40 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`);
  const text = `l0: &l0 [x]\n${levels.join("\n")}\nkind: Pod\nmetadata: {annotations: {k: v}}`;
  strictEqual(said(await readPod("p", text)).length, 1);
});

test("readPod() counts what merge keys copy", async () => {
  const base = Array.from({ length: 1000 }, (_, i) => `k${i}: v`).join(", ");
  const copies = Array.from({ length: 11 }, (_, i) => `c${i}: {<<: *base}`).join("\n");
  const [problem] = problems(await readPod("p", `base: &base {${base}}\n${copies}\nkind: Pod`));
  match(problem!, /<< copies more than 10000 names$/);
});

test("readPod() reads a manifest with as many names as it can hold in little time", async () => {
  const names = Array.from({ length: 50_000 }, (_, i) => `k${i}:`).join("\n");
  strictEqual(said(await readPod("p", `${names}\nkind: Pod\n${META}`)).length, 1);
});

test("readPod() answers any text", async () => {
  const piece = fc.constantFrom(
    "kind: Pod\n",
    "metadata:",
    " annotations:",
    "\n  ",
    "a: b",
    "&a ",
    "*a",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    "- ",
    "|\n",
    "---\n",
    "!!x ",
    '"',
    "'",
    "\t",
    "#",
    ": ",
    ",",
    "? ",
    "%",
  );
  const text = fc.array(fc.oneof(piece, fc.string())).map((pieces) => pieces.join(""));
  await fc.assert(fc.asyncProperty(text, async (manifest) => void await readPod("p", manifest)));
});

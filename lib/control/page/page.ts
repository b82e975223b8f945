/**
 * The page of `GET /`: one document, no assets, nothing that the policy below does not name.
 *
 * @module
 */

import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

const SECTIONS = ["interfaces", "routes", "neighbours", "qdisc", "sockets", "flows", "published"];

const section = (name: string) => `
<section id="${name}" aria-labelledby="${name}-title">
<h2 id="${name}-title">${name}<span></span></h2>
<div class="scroll"><table><thead></thead><tbody></tbody></table></div>
</section>`;

/** The document. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sluice</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>sluice</h1><span id="id"></span><p id="status" role="status">connecting …</p></header>
<main>${SECTIONS.map(section).join("")}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;

let policy: Promise<string> | undefined;

/** Its Content-Security-Policy: this script and this style by their hashes, requests to us, and nothing else. */
export function pagePolicy(): Promise<string> {
  return policy ??= makePolicy();
}

async function makePolicy(): Promise<string> {
  return [
    "default-src 'none'",
    `script-src '${await hashOf(SCRIPT)}'`,
    `style-src '${await hashOf(STYLE)}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

async function hashOf(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}

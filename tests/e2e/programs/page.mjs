/**
 * A page that loads all that a page may load: style, modules, an image, requests side by side, an upload, a stream of
 * events, a WebSocket. `node page.mjs` serves it on the loopback and prints the port.
 */

import { createHash } from "node:crypto";
import { createServer } from "node:http";

/** Each page served is told its number. */
const page = (number) =>
  `<!doctype html><link rel="stylesheet" href="style"><p>unfinished</p>
<script type="module">
import { double } from "./module";
const text = async (...request) => (await fetch(...request)).text();
const data = await Promise.all(Array.from({ length: 30 }, async (_, i) => (await text("data?" + i)).length));
const upload = await text("upload", { method: "POST", body: "u".repeat(1e6) });
const events = [];
await new Promise((resolve) => {
  const source = new EventSource("events");
  source.onmessage = ({ data }) => events.push(data) === 3 && resolve(source.close());
});
const socket = new WebSocket("ws://" + location.host);
socket.onopen = () => socket.send("over a WebSocket");
const { data: word } = await new Promise((resolve, reject) => {
  socket.onmessage = resolve;
  socket.onerror = reject;
});
const image = await createImageBitmap(await (await fetch("image")).blob());
const { color } = getComputedStyle(document.body);
const found = { data, upload, events, word, width: image.width, color, double: double(21) };
document.querySelector("p").textContent = JSON.stringify(found);
await fetch("finished?${number}");
</script><script async src="last?${number}"></script>`;

const IMAGE = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/** By number of page: `last`, which it is not loaded without, is answered when it is finished. Browsers print what is loaded. */
const pages = [];

function begin() {
  const made = {};
  made.finished = new Promise((resolve) => made.finish = resolve);
  return page(pages.push(made) - 1);
}

const ANSWERS = {
  "/": ["text/html", begin],
  "/style": ["text/css", () => "body { color: rgb(1, 2, 3) }"],
  "/module": ["text/javascript", () => "export const double = (x) => 2 * x;"],
  "/data": ["text/plain", () => "d".repeat(100_000)],
  "/image": ["image/gif", () => Buffer.from(IMAGE, "base64")],
  "/events": ["text/event-stream", () => "data: one\n\ndata: two\n\ndata: three\n\n"],
  "/finished": ["text/plain", (number) => pages[number].finish() ?? "so it is"],
};

const server = createServer((request, response) => {
  const [path, query] = request.url.split("?");
  if (path === "/last") return pages[query].finished.then(() => response.end());
  if (path === "/upload") {
    let length = 0;
    request.on("data", (bytes) => length += bytes.length).on("end", () => response.end(String(length)));
    return;
  }
  const [type, body] = ANSWERS[path] ?? ["text/plain", () => "nothing"];
  response.setHeader("content-type", type).end(body(query));
});

/** Takes a WebSocket (RFC 6455) and sends its first message, a short one, back without the mask. */
server.on("upgrade", (request, socket) => {
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  socket.write(`Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.on("error", () => {}).once("data", (frame) => {
    const length = frame[1] & 0x7f, mask = frame.subarray(2, 6);
    const words = frame.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]);
    socket.end(Buffer.concat([Buffer.from([frame[0], length]), words]));
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));

/**
 * An archive in cpio's "newc" format, as the kernel unpacks it into its first root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
 *
 * @module
 */

const FILE = 0o100000, DIRECTORY = 0o040000, LINK = 0o120000;

/** One entry; the name has no leading slash. */
export type CpioEntry =
  | { readonly name: string; readonly bytes: Uint8Array; readonly executable?: boolean }
  | { readonly name: string; readonly directory: true }
  | { readonly name: string; readonly linkTo: string };

/** The archive. Directories must come before what is in them. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const encoder = new TextEncoder();
  const push = (bytes: Uint8Array) => parts.push(bytes, new Uint8Array(-bytes.length & 3));
  const put = (inode: number, mode: number, name: string, bytes: Uint8Array) => {
    const text = encoder.encode(`${name}\0`);
    // inode mode uid gid nlink mtime size, device and special device as major and minor, length of the name, check
    const fields = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, text.length, 0];
    const header = encoder.encode(
      `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`,
    );
    const head = new Uint8Array(header.length + text.length);
    head.set(header);
    head.set(text, header.length);
    push(head);
    push(bytes);
  };
  entries.forEach((entry, index) => {
    const { name } = entry;
    if ("bytes" in entry) {
      put(index + 1, FILE | (entry.executable === true ? 0o755 : 0o644), name, entry.bytes);
    } else if ("linkTo" in entry) put(index + 1, LINK | 0o777, name, encoder.encode(entry.linkTo));
    else put(index + 1, DIRECTORY | 0o755, name, new Uint8Array());
  });
  put(0, 0, "TRAILER!!!", new Uint8Array());
  const archive = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

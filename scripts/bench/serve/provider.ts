/**
 * The providers that are compared: sluice, passt, and gvproxy where `SLUICE_GVPROXY` names its binary.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { IpAddress } from "../../../lib/stack/wire/address.ts";

export type ProviderName = "sluice" | "before" | "passt" | "gvproxy";
/** How the guest's frames travel. */
export type Transport = "unixstream" | "unixgram";

/** What is on the machine. `before` is another binary of ours, for comparison. */
export function providers(transport: Transport): ProviderName[] {
  const given = (variable: string) => process.env[variable] !== undefined;
  return [
    "sluice",
    ...(given("SLUICE_BEFORE") ? ["before" as const] : []),
    ...(transport === "unixstream" ? ["passt" as const] : []),
    // Its datagrams are for macOS.
    ...(transport === "unixstream" && given("SLUICE_GVPROXY") ? ["gvproxy" as const] : []),
  ];
}

/** Where guests find the host's loopback: its gateway, and gvproxy's own address for that. */
const GATEWAY = IpAddress.parse("192.168.127.1")!, GVPROXY_HOST = IpAddress.parse("192.168.127.254")!;

/** What is in it goes with the benchmark. */
export const directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
const children: ChildProcess[] = [];

/** Starts a program that ends with the benchmark. */
export function start(argv: readonly string[]): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", "pipe", "ignore"] });
  child.once("error", ({ message }) => {
    throw new Error(`Cannot start ${argv[0]}: ${message}`);
  });
  children.push(child);
  return child;
}

/** Ends everything, and leaves nothing behind. */
export function cleanUp(): void {
  for (const child of children) child.kill();
  rmSync(directory, { recursive: true, force: true });
}

/** A provider that runs. */
export interface Provider {
  readonly socket: string;
  /** The host's loopback, for its guests. */
  readonly host: IpAddress;
  readonly pid: number;
  /** Seconds of CPU so far. */
  cpu(): number;
  stop(): void;
}

/** Starts a provider and waits for its socket. */
export async function startProvider(
  name: ProviderName,
  mtu: number,
  transport: Transport = "unixstream",
  ...flags: readonly string[]
): Promise<Provider> {
  const socket = join(directory, `${name}.sock`);
  const child = start([...COMMANDS[name](socket, String(mtu), transport), ...flags]);
  child.stdout!.resume();
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  return {
    socket,
    host: name === "gvproxy" ? GVPROXY_HOST : GATEWAY,
    pid: child.pid!,
    cpu: () => cpuOf(child.pid!),
    stop: () => {
      child.kill();
      rmSync(socket, { force: true });
    },
  };
}

// deno-fmt-ignore
const COMMANDS: Record<ProviderName, (socket: string, mtu: string, transport: Transport) => string[]> = {
  sluice: (...rest) => [process.env["SLUICE_BINARY"] ?? "dist/sluice", ...served(...rest)],
  before: (...rest) => [process.env["SLUICE_BEFORE"]!, ...served(...rest)],
  passt: (socket, mtu) =>
    ["passt", "-f", "-q", "-1", "-s", socket, "-a", "192.168.127.5", "-n", "24", "-g", "192.168.127.1",
      "-m", mtu, "--runas", "0"],
  gvproxy: (socket, mtu) =>
    [process.env["SLUICE_GVPROXY"]!, "-mtu", mtu, "-ssh-port", "-1", "-listen", `unix://${socket}.api`,
      "-listen-qemu", `unix://${socket}`],
};

function served(socket: string, mtu: string, transport: Transport): string[] {
  return ["serve", "--host-loopback", "--mtu", mtu, "--listen", `${transport}://${socket}`];
}

/** Seconds of CPU of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const SERVER = `
import socket, threading
block = bytes((i * 31 + (i >> 8) * 17) & 255 for i in range(65521)) * 16
def serve(c):
    with c:
        what = c.recv(1)
        # Who asks for bytes and does not take them ("z") is not to fill the kernel's memory from this side.
        if what == b'z': c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        if what in (b's', b'z'):
            try:
                while True: c.sendall(block)
            except OSError: pass
        else:
            while c.recv(1 << 20): pass
s = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(s.getsockname()[1], flush=True)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`;

/** Starts a server on the host's loopback that sends (`s`) or swallows (`r`); its port. */
export async function startServer(): Promise<number> {
  const server = start(["python3", "-c", SERVER]);
  return Number(await new Promise((resolve) => server.stdout!.once("data", resolve)));
}

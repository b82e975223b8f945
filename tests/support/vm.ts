/**
 * A real virtual machine: QEMU under software emulation boots Debian's kernel with a root file system in memory that is
 * made here, of busybox and the modules of virtio-net. Its serial console is a shell.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cpio, type CpioEntry } from "./cpio.ts";
import { printed, type Scope, start } from "./e2e.ts";
import { findKernel } from "./kernel.ts";

const MODULES = ["virtio_pci", "virtio_net"];
/** What udhcpc calls when it knows something. */
const UDHCPC = `#!/bin/sh
case $1 in
deconfig) ip addr flush dev $interface; ip link set $interface up ;;
bound|renew)
  ip addr add $ip/$mask dev $interface
  [ -n "$mtu" ] && ip link set $interface mtu $mtu
  for r in $router; do ip route add default via $r dev $interface; done
  : > /etc/resolv.conf
  for d in $dns; do echo nameserver $d >> /etc/resolv.conf; done
  echo "lease ip=$ip mask=$mask router=$router dns=$dns mtu=$mtu server=$serverid seconds=$lease" ;;
esac
`;

/** Files of the modules and of those they need, in the order in which they must be loaded. */
function moduleFiles(modules: string): string[] {
  const needed = new Map<string, string[]>();
  for (const line of readFileSync(join(modules, "modules.dep"), "utf8").split("\n")) {
    const [file, rest] = line.split(":");
    if (file !== undefined && rest !== undefined) needed.set(file, rest.trim().split(" ").filter(Boolean));
  }
  const order: string[] = [];
  for (const module of MODULES) {
    const file = [...needed.keys()].find((name) => basename(name).split(".")[0] === module);
    if (file === undefined) continue; // Built in.
    for (const one of [...needed.get(file)!.reverse(), file]) if (!order.includes(one)) order.push(one);
  }
  return order;
}

/** Programs of this machine and the libraries that they load, where they look for them. */
function programEntries(programs: readonly string[]): CpioEntry[] {
  const paths = new Set<string>();
  for (const program of programs) {
    const file = execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
    paths.add(file);
    for (const [path] of execFileSync("ldd", [file], { encoding: "utf8" }).matchAll(/\/\S+/g)) {
      paths.add(path);
    }
  }
  const directories = new Set<string>();
  for (const path of paths) {
    for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) {
      directories.add(path.slice(1, at));
    }
  }
  return [
    ...[...directories].sort().map((name) => ({ name, directory: true as const })),
    ...[...paths].map((path) => ({ name: path.slice(1), bytes: readFileSync(path), executable: true })),
  ];
}

function initramfs(modules: string, programs: readonly string[]): Uint8Array {
  const encoder = new TextEncoder();
  const files = moduleFiles(modules);
  const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
${files.map((file) => `insmod /modules/${basename(file)}`).join("\n")}
ip link set lo up
ip link set eth0 up
dmesg -n 1
stty -echo
echo VM ready
exec sh
`;
  const entries: CpioEntry[] = [
    ...["bin", "dev", "etc", "modules", "proc", "root", "sys", "tmp"].map((name) => (
      { name, directory: true as const }
    )),
    ...programEntries(programs),
    { name: "bin/busybox", bytes: readFileSync(busybox()), executable: true },
    { name: "bin/sh", linkTo: "busybox" },
    { name: "etc/udhcpc.sh", bytes: encoder.encode(UDHCPC), executable: true },
    { name: "init", bytes: encoder.encode(init), executable: true },
    ...files.map((file) => ({ name: `modules/${basename(file)}`, bytes: readFileSync(join(modules, file)) })),
  ];
  return cpio(entries);
}

function busybox(): string {
  return execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
}

/** A machine that runs. */
export class VirtualMachine {
  readonly #child: ChildProcess;
  #commands = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * Boots; resolves when its shell is there.
   *
   * @param netdev what follows `-netdev`, without the id: `stream,server=off,addr.type=unix,addr.path=…`
   * @param programs of this machine that it shall have, too
   */
  static async boot(
    scope: Scope,
    netdev: string,
    mac: string,
    programs: readonly string[] = [],
  ): Promise<VirtualMachine> {
    const kernel = findKernel();
    if (kernel === undefined) {
      throw new Error("Cannot boot a VM: there is no kernel with modules under /boot");
    }
    const image = join(scope.directory(), "initramfs");
    writeFileSync(image, initramfs(kernel.modules, programs));
    // deno-fmt-ignore
    const argv = [
      "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", programs.length > 0 ? "384" : "192",
      "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
      "-kernel", kernel.image, "-initrd", image,
      "-append", "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check random.trust_cpu=on mitigations=off",
      "-netdev", `${netdev},id=n0`, "-device", `virtio-net-pci,netdev=n0,mac=${mac},romfile=`,
    ];
    const child = start(scope, argv);
    let complaints = "";
    child.stderr!.on("data", (chunk: Uint8Array) => complaints += new TextDecoder().decode(chunk));
    try {
      await printed(child, /VM ready/);
    } catch (error) {
      throw new Error(`Cannot boot a VM: ${complaints.trim()}`, { cause: error });
    }
    return new VirtualMachine(child);
  }

  /** Runs a command in its shell; resolves to what it printed. Rejects unless its status is 0. */
  async run(command: string): Promise<string> {
    const mark = `ran ${++this.#commands}:`;
    const said = printed(this.#child, new RegExp(`${mark}\\d+`));
    this.#child.stdin!.write(`{ ${command}\n} 2>&1; echo "${mark}$?"\n`);
    const text = (await said).replaceAll("\r", "");
    const end = text.lastIndexOf(mark);
    const output = text.slice(0, end).replaceAll(/^(\/ # |> )+/gm, "").trimStart();
    if (!text.startsWith(`${mark}0`, end)) throw new Error(`In the VM, "${command}" failed: ${output}`);
    return output;
  }

  /** Gets an address by DHCP; resolves to what the lease said. */
  async dhcp(): Promise<Readonly<Record<string, string>>> {
    const said = await this.run("udhcpc -q -n -t 5 -T 1 -s /etc/udhcpc.sh -i eth0");
    const line = /^lease (.*)$/m.exec(said)?.[1];
    if (line === undefined) throw new Error(`Cannot get an address in the VM: ${said}`);
    return Object.fromEntries([...line.matchAll(/(\w+)=([^=]*?)(?= \w+=|$)/g)].map(([, k, v]) => [k!, v!]));
  }
}

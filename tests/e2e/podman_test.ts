/**
 * podman and sluice, either way round: a container in which sluice gives its program a stack, and a guest of sluice that starts
 * a container. Containers are made from the machine's own `/usr`: no image is needed, and no registry.
 */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import process from "node:process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { run, type Scope, userId, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded, USERS } from "../support/guest.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:podman", "tool:runc", "tool:curl");
const LIMIT = 30_000;

/** Storage of podman, and a root of links into `/usr`, for one user. */
interface Place {
  /** podman with its storage there. */
  readonly podman: readonly string[];
  /** Up to the program. */
  readonly container: readonly string[];
  readonly environment: readonly string[];
}

function place(scope: Scope, user: string | undefined, options: readonly string[]): Place {
  const base = scope.directory();
  const own = (path: string, mode = 0o755) => {
    mkdirSync(path, { recursive: true });
    if (user !== undefined) chownSync(path, userId(user), userId(user));
    chmodSync(path, mode);
    return path;
  };
  own(base);
  const root = own(`${base}/rootfs`);
  for (const name of ["usr", "proc", "sys", "dev", "run", "etc"]) own(`${root}/${name}`);
  own(`${root}/tmp`, 0o1777);
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, `${root}/${name}`);
  const storage = [`--root=${own(`${base}/storage`)}`, `--runroot=${own(`${base}/run`)}`];
  // Whoever may not raise limits gets those of the machine; crun does not work on hybrid cgroups.
  const limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
  // Rootless podman leaves a process behind that holds its user namespace.
  const runtime = own(`${base}/runtime`, 0o700);
  scope.defer(() => endPause([`${base}/tmp/pause.pid`, `${runtime}/libpod/tmp/pause.pid`]));
  return {
    podman: [
      ...["podman", ...storage, `--tmpdir=${own(`${base}/tmp`)}`, "--events-backend=none"],
      ...["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc"],
    ],
    container: [
      ...["run", "--rm", "--network=host", ...limits, "--volume=/usr:/usr:ro", ...options],
      ...["--rootfs", root],
    ],
    environment: ["env", `HOME=${own(`${base}/home`)}`, `XDG_RUNTIME_DIR=${runtime}`],
  };
}

function endPause(files: readonly string[]): void {
  for (const file of files) {
    if (existsSync(file)) process.kill(Number(readFileSync(file, "utf8")), "SIGKILL");
  }
}

/** A web server on the host's loopback; returns what the guest calls it. */
async function hello(scope: Scope): Promise<string> {
  const server = createServer((_, response) => response.end("hello\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://10.0.2.2:${(server.address() as AddressInfo).port}/`;
}

for (const { name, as } of USERS) {
  test(
    `sluice works in a container of podman's, under its seccomp profile (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const binary = scope.binary();
        const { podman, container, environment } = place(scope, as.user, [
          `--volume=${dirname(binary)}:/opt:ro`,
        ]);
        const sluice = ["/opt/sluice", "--host-loopback", "do", "--", "curl", "-sS", url];
        const argv = [...environment, ...podman, ...container, ...sluice];
        strictEqual(succeeded(await run(argv, { ...as, limit: LIMIT })).stdout, "hello\n");
      }),
  );

  test(
    `a container of podman's has the network of sluice's guest (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const { podman, container, environment } = place(scope, as.user, []);
        const sluice = [scope.binary(), "--host-loopback", "do", "--"];
        const script = `curl -sS ${url}; ip -br -4 addr show eth0`;
        // What makes the container's users is setuid, and so has to run outside.
        const users = as.user === undefined ? [] : ["podman", "unshare"];
        const argv = [...environment, ...users, ...sluice, ...podman, ...container, "sh", "-c", script];
        const { stdout } = succeeded(await run(argv, { ...as, limit: LIMIT }));
        match(stdout, /^hello\neth0 +UP +10\.0\.2\.100\/24 *\n$/);
      }),
  );
}

import { ok, rejects, strictEqual } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SSH_FORWARDS, SshForwards } from "../../lib/cli/ssh_forwards.ts";
import { privateDirectory } from "../../lib/host/private_directory.ts";
import { FakeEngine } from "../control/fake_engine.ts";

const forward = (socket: string) => ({
  socket,
  destination: "/run/podman.sock",
  user: "core",
  identity: "/no/such/key",
  guestAddress: "192.168.127.2",
  guestPort: 22,
});

test("forwards that are asked for at one time are no more than may be, and each socket is one", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-ssh-"));
  const place = privateDirectory("sluice-ssh-");
  const forwards = new SshForwards(new FakeEngine(), place, () => {});
  try {
    const names = Array.from({ length: 4 * SSH_FORWARDS }, (_, i) => join(directory, `${i >> 1}`));
    const ends = await Promise.allSettled(names.map((name) => forwards.add(forward(name))));
    strictEqual(ends.filter(({ status }) => status === "fulfilled").length, SSH_FORWARDS);
    await rejects(
      forwards.add(forward(join(directory, "more"))),
      /32 sockets are forwarded over ssh already/,
    );
    ok(forwards.counters()["ssh.forward-limit"]! > 0);
    await forwards.remove(names[0]!);
    const late = forwards.add(forward(join(directory, "late")));
    forwards.close();
    await rejects(late, /nothing is served any more/);
    strictEqual(forwards.all().length, 0);
  } finally {
    forwards.close();
    place.remove();
    rmSync(directory, { recursive: true });
  }
});

/** Much at once behind the attachment `sockets`: streams in full, and thousands of connections. */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { printed, run, type Scope, start, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";

const MACHINE = needs("userns", "tool:python3");
const MEGABYTES = 40;

/**
 * Two programs that send each other pieces of all sizes at the same time, now and then too slowly. Each prints a digest of
 * what it has sent and of what it has received.
 */
const STREAM = `
import hashlib, random, socket, sys, threading, time
host, port, role = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TOTAL = ${MEGABYTES} << 20
def send(s, seed, out):
    dice, digest, left = random.Random(seed), hashlib.sha1(), TOTAL
    base = dice.randbytes(1 << 20)
    while left:
        size = min(left, dice.choice((1, 100, 1500, 2000, 5000, 65468, 65536, 131072, 777777, 1 << 20)))
        at = dice.randrange(0, (1 << 20) - size + 1)
        digest.update(base[at:at + size]); s.sendall(base[at:at + size]); left -= size
        if dice.random() < 0.005: time.sleep(0.003)
    s.shutdown(socket.SHUT_WR); out.append(digest.hexdigest())
def receive(s, seed):
    dice, digest = random.Random(seed), hashlib.sha1()
    while piece := s.recv(dice.choice((1, 1000, 65536, 1 << 20)) if dice.random() < 0.1 else 1 << 18):
        digest.update(piece)
        if dice.random() < 0.002: time.sleep(0.01)
    return digest.hexdigest()
def talk(s, seed):
    sent = []
    thread = threading.Thread(target=send, args=(s, seed, sent)); thread.start()
    received = receive(s, seed); thread.join()
    return sent[0], received
if role == 'client': print(*talk(socket.create_connection((host, port)), 1))
else:
    listener = socket.create_server((host, port)); print(listener.getsockname()[1], flush=True)
    answers = []
    server = lambda: answers.append(talk(listener.accept()[0], 2))
    if role == 'server': server(); print(*answers[0])
    else:
        thread = threading.Thread(target=server); thread.start()
        ours = talk(socket.create_connection(listener.getsockname()), 1); thread.join()
        print(answers[0] == ours[::-1])
`;

const sluice = (scope: Scope, ...flags: string[]) => [
  scope.binary(),
  "--attach=sockets",
  "--host-loopback",
  ...flags,
  "do",
  "--",
  "python3",
  "-c",
  STREAM,
];

for (const watched of [false, true]) {
  const how = watched ? "with every packet written down" : "unseen";
  const flags = (log: string) => watched ? [`--pcap-log=${log}`] : [];

  test(
    `every byte between guest and host arrives, both ways at once, ${how}`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const log = join(scope.directory(), "log.pcapng");
        const server = start(scope, ["python3", "-c", STREAM, "127.0.0.1", "0", "server"]);
        const port = (await printed(server, /^\d+\n/)).trim();
        const said = printed(server, /\w{40} \w{40}\n/);
        const guest = await run([...sluice(scope, ...flags(log)), "10.0.2.2", port, "client"], {
          limit: 30_000,
        });
        const [sent, received] = succeeded(guest).stdout.trim().split(" ");
        const [theirs, ours] = (await said).trim().split("\n").at(-1)!.split(" ");
        strictEqual(`${received} ${sent}`, `${theirs} ${ours}`);
        if (watched) ok(statSync(log).size > 2 * MEGABYTES * 2 ** 20, "the log has what was sent");
      }),
  );
}

test(
  "every byte on the guest's loopback arrives, both ways at once",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const guest = await run([...sluice(scope, "--network=none"), "127.0.0.1", "0", "both"], {
        limit: 30_000,
      });
      strictEqual(succeeded(guest).stdout.split("\n").at(-2), "True");
    }),
);

const CROWD = 5_000;
/** Accepts everybody, echoes one byte to each, and goes when all have gone. */
const HOST = `
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, '127.0.0.1', 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
`;
const GUEST = `
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
ends = [socket.create_connection(('10.0.2.2', int(sys.argv[1]))) for _ in range(${CROWD})]
for i, end in enumerate(ends): end.sendall(b'%d' % i)
print(sum(end.recv(99) == b'%d' % i for i, end in enumerate(ends)))
`;

test("five thousand connections leave one guest at the same time", MACHINE, () =>
  withScope(async (scope) => {
    const server = start(scope, ["python3", "-c", HOST]);
    const port = (await printed(server, /^\d+\n/)).trim();
    const guest = [
      scope.binary(),
      "--attach=sockets",
      "--host-loopback",
      "do",
      "--",
      "python3",
      "-c",
      GUEST,
      port,
    ];
    strictEqual(succeeded(await run(guest, { limit: 30_000 })).stdout, `${CROWD}\n`);
  }));

/** Very many connections at once, held open by one program behind the stack. */

import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { printed, type Scope, start, withScope } from "../support/e2e.ts";
import { behind, type Family, MACHINE, type Situation, SITUATIONS, succeeded } from "../support/guest.ts";

const SERVER = (host: string) => `
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, '${host}', 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
`;

/** Opens all, then talks on each while all are open, twice; the last line is how many held. */
const CLIENT = `
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def main():
    gate = asyncio.Semaphore(256)
    async def open():
        async with gate: return await asyncio.open_connection(host, port)
    ends = await asyncio.gather(*(open() for _ in range(count)))
    async def ask(i, reader, writer):
        word = b'%8d' % i
        async with gate:
            writer.write(word)
            return await reader.readexactly(8) == word
    for _ in range(2):
        print(sum(await asyncio.gather(*(ask(i, *end) for i, end in enumerate(ends)))))
    for _, writer in ends: writer.close()
asyncio.run(main())
`;

async function serve(scope: Scope, { host }: Family): Promise<number> {
  const server = start(scope, ["/usr/bin/python3", "-c", SERVER(host)]);
  return Number(await printed(server, /^\d+\n/));
}

async function hold(scope: Scope, situation: Situation, count: number): Promise<void> {
  const port = await serve(scope, situation.family);
  const argv = ["/usr/bin/python3", "-c", CLIENT, situation.family.gateway, `${port}`, `${count}`];
  const { stdout } = succeeded(await behind(scope, situation, argv, { limit: 60_000 }));
  strictEqual(stdout, `${count}\n${count}\n`);
}

for (const situation of SITUATIONS) {
  test(
    `1 000 connections are open at once (${situation.name})`,
    MACHINE,
    () => withScope((scope) => hold(scope, situation, 1_000)),
  );
}

/** Behind `sockets` a connection costs two descriptors of ours, and users have 20 000 and fewer. */
const MANY = { tap: 10_000, sockets: 5_000 } as const;

for (const situation of SITUATIONS.filter(({ as }) => as.user !== undefined)) {
  const count = MANY[situation.attach!];
  test(
    `${count} connections are open at once (${situation.name})`,
    MACHINE,
    () => withScope((scope) => hold(scope, situation, count)),
  );
}

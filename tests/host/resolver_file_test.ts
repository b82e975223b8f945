import { test } from "node:test";
import { strictEqual, throws } from "node:assert/strict";
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openResolverFile, ResolverFile } from "../../lib/host/resolver_file.ts";
import { withScope } from "../support/e2e.ts";

test("a resolver's file is changed though its name is gone, and nothing is left of what was longer", () =>
  withScope((scope) => {
    const path = join(scope.directory(), "resolv.conf");
    const first = "nameserver 192.0.2.1\n";
    writeFileSync(path, first);
    const reader = openResolverFile(path);
    const file = new ResolverFile(openResolverFile(path), first);
    const read = () => readFileSync(path, "utf8");
    file.rewrite("nameserver 192.0.2.1\nnameserver 2001:db8::1\n");
    strictEqual(read(), "nameserver 192.0.2.1\nnameserver 2001:db8::1\n");
    file.rewrite("");
    strictEqual(read().trim(), "");
    unlinkSync(path);
    file.rewrite("nameserver 192.0.2.2\n");
    strictEqual(readFileSync(`/proc/self/fd/${reader}`, "utf8").trimEnd(), "nameserver 192.0.2.2");
    file.close();
    new ResolverFile(reader, "").close();
    throws(() => openResolverFile(path), /ENOENT/);
    return Promise.resolve();
  }));

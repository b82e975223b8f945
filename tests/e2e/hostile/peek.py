"""An unprivileged guest that looks for a way out: prints all it could get at that is not its own, as JSON."""

import glob
import json
import os

directory = os.environ["XDG_RUNTIME_DIR"] + "/sluice"
found = []


def attempt(what, action):
    try:
        result = action()
        if result is not False:
            found.append(what)
    except OSError:
        pass


attempt("runtime directory", lambda: bool(os.listdir(directory)))
for process in glob.glob("/proc/[0-9]*"):
    if int(process[6:]) == os.getpid():
        continue
    attempt(f"{process}/root", lambda: os.stat(f"{process}/root{directory}/arena.sock"))
    attempt(f"{process}/ns/net", lambda: os.readlink(f"{process}/ns/net"))
    attempt(f"{process}/mem", lambda: open(f"{process}/mem", "rb"))
    for fd in range(0, 64):
        attempt(f"{process}/fd/{fd}", lambda: os.readlink(f"{process}/fd/{fd}"))
for name in os.listdir("/proc/self/fd"):
    try:
        target = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue  # the listing itself
    if int(name) > 2 and (target.startswith(("socket:", "anon_inode:")) or "/net/tun" in target):
        found.append(f"{name} -> {target}")
for line in open("/proc/self/status"):
    if line.startswith(("CapPrm", "CapEff", "CapInh", "CapAmb")) and int(line.split()[1], 16):
        found.append(line.strip())
attempt("umount", lambda: os.system(f"umount -l '{directory}' 2>/dev/null") == 0)
attempt("umount in a namespace of its own", lambda: os.system(f"unshare -Urm umount -l '{directory}' 2>/dev/null") == 0)
print(json.dumps(found))

# What every script of this folder begins with: a directory of its own, free ports, and nobody left behind.
set -u
cd "$(mktemp -d)" || exit 1
export HOME=$PWD
chmod 755 . # servers become somebody else when root starts them
trap 'kill $(jobs -p) 2>/dev/null; cd /; rm -rf "$HOME"' EXIT
# Below those that the kernel gives to connections, apart from those of tests/support/ports.ts, and none twice.
free_port() {
  python3 -c 'import random, socket
known = open("ports", "a+"); known.seek(0); taken = known.read().split()
while True:
    port = random.randrange(11000, 17000)
    with socket.socket() as s:
        try: s.bind(("127.0.0.1", port))
        except OSError: continue
    if str(port) not in taken: break
print(port, file=known); print(port)'
}
# Until somebody listens; as long as the test's own limit.
listening() { until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.02; done; }

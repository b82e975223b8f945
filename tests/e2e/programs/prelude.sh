# What every script of this folder begins with: a directory of its own, free ports, and nobody left behind.
set -u
cd "$(mktemp -d)" || exit 1
export HOME=$PWD
chmod 755 . # servers become somebody else when root starts them
trap 'kill $(jobs -p) 2>/dev/null; cd /; rm -rf "$HOME"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Until somebody listens; as long as the test's own limit.
listening() { until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.02; done; }

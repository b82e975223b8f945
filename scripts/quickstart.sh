#!/usr/bin/env bash
# From a fresh checkout to a real program behind our own stack, and the stack's view of itself.
# Needs node, npm and apt.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. Packages"
[ -x node_modules/.bin/bun ] || npm ci --no-audit --no-fund
need=()
command -v curl >/dev/null || need+=(curl)
command -v unshare >/dev/null || need+=(util-linux)
command -v python3 >/dev/null || need+=(python3)
if ((${#need[@]} > 0)); then
  if [ "$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq "${need[@]}"; else sudo apt-get update -qq && sudo apt-get install -y -qq "${need[@]}"; fi
fi

say "2. The binary"
node_modules/.bin/bun scripts/compile.ts
dist/sluice version

say "3. A web server on this host's loopback, and curl behind the stack"
work=$(mktemp -d)
server=""
guest=""
trap 'for pid in $guest $server; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
echo "hello from the host, through a TCP/IP stack in user space" >"$work/index.html"
python3 -u - "$work" >"$work/port" <<'PY' &
import functools, http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
handler = functools.partial(Quiet, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
server=$!
until [ -s "$work/port" ]; do kill -0 "$server"; sleep 0.1; done
port=$(cat "$work/port")
echo "\$ sluice --host-loopback do -- curl -s http://10.0.2.2:$port/"
dist/sluice --host-loopback do -- curl -sS --max-time 20 "http://10.0.2.2:$port/"

say "4. The stack's own view, through the control API, while a program runs"
mkfifo "$work/hold"
dist/sluice --id=quickstart do -- sh -c 'echo ready; read _' <"$work/hold" >"$work/ready" &
guest=$!
exec 9>"$work/hold"
until grep -q ready "$work/ready" 2>/dev/null; do kill -0 "$guest"; sleep 0.1; done
echo '$ sluice ip addr'
dist/sluice ip addr quickstart
echo '$ sluice tc qdisc'
dist/sluice tc -s qdisc quickstart
echo '$ curl --unix-socket … http://sluice/v1/route'
api=$(dist/sluice ls -j | tr '{' '\n' | sed -n '/"id": *"quickstart"/s/.*"api": *"\([^"]*\)".*/\1/p')
curl -sS --unix-socket "$api" http://sluice/v1/route
echo
echo >&9
wait "$guest"
guest=""

say "It works. Now: dist/sluice do -- bash -li"

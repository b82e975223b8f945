# A server, its replica, pipelines, subscribers.
A=$(free_port) B=$(free_port)
serve() { redis-server --port "$1" --save '' --dir "$PWD" --repl-diskless-sync-delay 0 "${@:2}" >"log$1" 2>&1 & }
serve "$A"; first=$!; listening "$A"
serve "$B" --replicaof 127.0.0.1 "$A"; second=$!; listening "$B"
redis-cli -p "$A" set key value; redis-cli -p "$A" get key
redis-benchmark -p "$A" -n 2000 -c 20 -q -t set,get --csv | cut -d, -f1
redis-benchmark -p "$A" -n 10000 -P 16 -c 20 -q -t incr --csv | cut -d, -f1
redis-cli -p "$A" get counter:__rand_int__
until [ "$(redis-cli -p "$B" get key)" = value ]; do sleep 0.02; done; echo replicated
for port in $B $A; do redis-cli -p "$port" shutdown nosave; done
wait $second; echo status $?; wait $first; echo status $?

# A cluster of our own, over both families and its unix socket.
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
A=$(free_port)
initdb -D data -A trust -U me --no-sync --no-instructions >log 2>&1; echo initdb $?
pg_ctl -D data -o "-p $A -h 127.0.0.1,::1 -k $PWD -F" -l log -w start >/dev/null; echo start $?
for host in 127.0.0.1 ::1 "$PWD"; do psql -h "$host" -p "$A" -U me -Atc 'select inet_client_addr(), 1 + 1' postgres; done
export PGHOST=127.0.0.1 PGPORT=$A PGUSER=me PGDATABASE=postgres
pgbench -i -q >/dev/null 2>&1; echo tables $?
pgbench -c 4 -j 2 -t 50 2>&1 | grep -E 'processed|failed'
pgbench -S -c 4 -j 2 -t 200 2>&1 | grep -E 'processed|failed'
psql -Atc 'copy (select generate_series(1, 100000)) to stdout' | sha256sum
psql -Atc 'listen news; notify news' | cut -d' ' -f1-4
pg_ctl -D data -m fast -w stop >/dev/null; echo stop $?
grep -E 'ERROR|could not|WARNING' log
true

# Workers that share a port, files by sendfile, a proxy, a reload under way, and two load generators.
A=$(free_port) B=$(free_port)
head -c 1000000 /dev/zero | tr '\0' x >big; echo hello >index.html
cat >conf <<C
daemon off; worker_processes 3; pid $PWD/pid; error_log $PWD/errors notice;
events { worker_connections 256; multi_accept on; }
http {
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path $PWD/t; proxy_temp_path $PWD/t; fastcgi_temp_path $PWD/t; uwsgi_temp_path $PWD/t; scgi_temp_path $PWD/t;
  server { listen 127.0.0.1:$A reuseport; listen [::1]:$A reuseport; root $PWD; }
  server { listen 127.0.0.1:$B; location / { proxy_pass http://127.0.0.1:$A; } }
}
C
nginx -c "$PWD/conf" -p "$PWD" -e "$PWD/errors" & server=$!
listening $B
for url in "http://127.0.0.1:$A/" "http://[::1]:$A/" "http://127.0.0.1:$B/"; do curl -sS -g "$url"; done
curl -sS "http://127.0.0.1:$B/big" | cmp - big && echo the same
curl -sS -r 10-99 "http://127.0.0.1:$A/big" | wc -c
wrk -t1 -c20 -d1 "http://127.0.0.1:$A/" | grep -E 'Socket errors|Non-2xx'
ab -q -n 100 -c 10 "http://127.0.0.1:$B/" | grep -E 'Complete|Failed|Non-2xx'
nginx -c "$PWD/conf" -p "$PWD" -e "$PWD/errors" -s reload
until grep -q 'exited with code 0' errors; do sleep 0.02; done
curl -sS "http://127.0.0.1:$A/"
nginx -c "$PWD/conf" -p "$PWD" -e "$PWD/errors" -s quit
wait $server; echo status $?
grep -E '\[(error|alert|crit|emerg)\]' errors
true

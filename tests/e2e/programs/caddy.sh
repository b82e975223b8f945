# A server and a client in Go: files, a proxy that asks a name server for its upstreams, HTTP/2, 20 at a time.
A=$(free_port) B=$(free_port) C=$(free_port) D=$(free_port)
export XDG_DATA_HOME=$PWD XDG_CONFIG_HOME=$PWD
mkdir www; head -c 3000000 /dev/zero | tr '\0' c >www/file; echo page >www/page
dnsmasq -d -C /dev/null -R -h -p "$D" -a 127.0.0.1 -z --host-record=upstream.test,127.0.0.1 2>/dev/null &
cat >Caddyfile <<D
{
  admin 127.0.0.1:$C
  skip_install_trust
  local_certs
  auto_https disable_redirects
}
http://127.0.0.1:$A, http://[::1]:$A {
  root * $PWD/www
  file_server
}
https://localhost:$B {
  bind 127.0.0.1 ::1
  @named path /named/*
  handle_path /named/* {
    reverse_proxy {
      header_up Host 127.0.0.1:$A
      dynamic a upstream.test $A {
        resolvers 127.0.0.1:$D
      }
    }
  }
  reverse_proxy 127.0.0.1:$A [::1]:$A {
    header_up Host {upstream_hostport}
    lb_policy round_robin
  }
}
D
caddy run --config Caddyfile >log 2>&1 & server=$!
listening $A; listening $B
curl -sS "http://127.0.0.1:$A/file" | cmp - www/file && echo the same
curl -sS -k -w '%{http_version}\n' "https://localhost:$B/page"{,,,} "https://localhost:$B/named/page"
curl -sS -k "https://localhost:$B/file" | cmp - www/file && echo the same
ab -q -n 1000 -c 20 "http://127.0.0.1:$A/page" | grep -E 'Complete|Failed'
caddy stop --address 127.0.0.1:$C >/dev/null 2>&1
wait $server; echo status $?
! grep '"level":"error"' log

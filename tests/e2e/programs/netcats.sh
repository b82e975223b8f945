# Small servers: socat in its ways, busybox, netcat, iperf3.
A=$(free_port) B=$(free_port) C=$(free_port) D=$(free_port)
socat -u "TCP-LISTEN:$A,bind=127.0.0.1,reuseaddr" OPEN:out,creat & server=$!
until echo one | socat -u - "TCP:127.0.0.1:$A" 2>/dev/null; do sleep 0.02; done
wait $server; cat out
socat "TCP6-LISTEN:$B,reuseaddr,fork" EXEC:'tr a-z A-Z' & listening "$B"
for to in 'TCP6:[::1]' TCP4:127.0.0.1; do echo abc | socat -t5 - "$to:$B"; done
# Whoever is not answered in time asks again, as somebody else: the one before may still have the server's attention.
socat -T1 "UDP-LISTEN:$B,bind=127.0.0.1,fork" EXEC:cat >/dev/null 2>&1 & server=$!
until echo datagram | socat -T0.3 - "UDP:127.0.0.1:$B" 2>/dev/null | grep datagram; do sleep 0.02; done
kill $server 2>/dev/null
socat "UNIX-LISTEN:$PWD/s" "TCP:127.0.0.1:$B" &
until echo through | socat -t5 - "UNIX:$PWD/s" 2>/dev/null; do sleep 0.02; done
mkdir www; echo page >www/index.html
busybox httpd -f -p "127.0.0.1:$C" -h www & listening "$C"
busybox wget -q -O - "http://127.0.0.1:$C/"; busybox wget -q -O - "http://127.0.0.1:$C/none" 2>&1
nc -l 127.0.0.1 "$A" >heard & server=$!
until echo net | nc -N 127.0.0.1 "$A" 2>/dev/null; do sleep 0.02; done
wait $server; cat heard
curl -sS "http://127.0.0.1:$A/" 2>/dev/null; echo refused $?
for how in '' -R '-u -b 20M' '-6 -P 4 --bidir'; do
  host=127.0.0.1; case $how in -6*) host=::1 ;; esac
  iperf3 -s -1 -p "$D" >/dev/null & server=$!
  until iperf3 $how -c $host -p "$D" -n 200K >/dev/null 2>&1; do sleep 0.02; done
  wait $server; echo "iperf3 $how: $?"
done

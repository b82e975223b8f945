# Java: its servers and clients, selectors, datagrams, groups, interfaces.
java -XX:TieredStopAtLevel=1 Sockets.java; status=$?; echo status $status; [ $status = 3 ]

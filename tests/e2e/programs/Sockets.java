import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.*;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

/** Java's ways to a network. What is printed is the same in every run. */
public class Sockets {
  static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  public static void main(String[] arguments) throws Exception {
    http();
    selectors();
    asynchronous();
    blocking();
    datagrams();
    multicast();
    interfaces();
    System.exit(3);
  }

  static void say(Object... words) {
    System.out.println(Stream.of(words).map(String::valueOf).collect(Collectors.joining(" ")));
  }

  /** What somebody tries, and how it fails. */
  interface Attempt {
    void run() throws Exception;
  }

  static void fails(String what, Attempt attempt) throws Exception {
    try {
      attempt.run();
      say(what, "does not fail");
    } catch (IOException error) {
      say(what, error.getClass().getSimpleName(), error.getMessage());
    }
  }

  static void http() throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(LOOPBACK, 0), 0);
    ExecutorService pool = Executors.newFixedThreadPool(4);
    server.setExecutor(pool);
    server.createContext("/", exchange -> {
      byte[] body = exchange.getRequestBody().readAllBytes();
      exchange.sendResponseHeaders(200, body.length + 1);
      exchange.getResponseBody().write('>');
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
    URI uri = URI.create("http://localhost:" + server.getAddress().getPort() + "/");
    HttpClient client = HttpClient.newHttpClient();
    String big = "x".repeat(1 << 20);
    List<CompletableFuture<HttpResponse<String>>> answers = IntStream.range(0, 20)
        .mapToObj(i -> HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofString(big + i)).build())
        .map(request -> client.sendAsync(request, HttpResponse.BodyHandlers.ofString()))
        .collect(Collectors.toList());
    int right = 0;
    for (int i = 0; i < 20; i++) if (answers.get(i).get().body().equals(">" + big + i)) right++;
    say("HttpClient", right);
    HttpURLConnection older = (HttpURLConnection) uri.toURL().openConnection();
    say("HttpURLConnection", older.getResponseCode(), new String(older.getInputStream().readAllBytes()));
    server.stop(0);
    pool.shutdownNow();
  }

  /** An echo server on one selector, a hundred clients on another. */
  static void selectors() throws Exception {
    ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress(LOOPBACK, 0));
    Selector serving = Selector.open();
    listener.configureBlocking(false).register(serving, SelectionKey.OP_ACCEPT);
    Thread server = new Thread(() -> {
      try {
        while (serving.isOpen()) serving.select(key -> echo(serving, key));
      } catch (IOException | ClosedSelectorException end) {
        say("select", end);
      }
    });
    server.start();
    Selector asking = Selector.open();
    for (int i = 0; i < 100; i++) {
      SocketChannel channel = SocketChannel.open();
      channel.configureBlocking(false);
      channel.connect(listener.getLocalAddress());
      channel.register(asking, SelectionKey.OP_CONNECT, ByteBuffer.wrap(("client " + i).getBytes()));
    }
    ByteBuffer heard = ByteBuffer.allocate(64);
    int[] echoed = {0};
    for (; !asking.keys().isEmpty(); asking.selectNow()) {
      for (SelectionKey key : asking.selectedKeys()) {
        SocketChannel channel = (SocketChannel) key.channel();
        ByteBuffer words = (ByteBuffer) key.attachment();
        if (key.isConnectable() && channel.finishConnect()) {
          channel.write(words);
          channel.shutdownOutput();
          key.interestOps(SelectionKey.OP_READ);
        } else if (channel.read(heard.clear()) < 0) {
          channel.close();
        } else if (heard.flip().equals(words.flip())) {
          echoed[0]++;
        }
      }
      asking.selectedKeys().clear();
      asking.select(100);
    }
    say("selectors", echoed[0]);
    serving.close();
    server.join();
    listener.close();
  }

  static void echo(Selector serving, SelectionKey key) {
    try {
      if (key.channel() instanceof ServerSocketChannel) {
        ((ServerSocketChannel) key.channel()).accept().configureBlocking(false).register(serving, SelectionKey.OP_READ);
        return;
      }
      SocketChannel channel = (SocketChannel) key.channel();
      ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
      if (channel.read(buffer) < 0) channel.close();
      else channel.write(buffer.flip());
    } catch (IOException error) {
      say("echo", error);
    }
  }

  static void asynchronous() throws Exception {
    try (AsynchronousServerSocketChannel listener = AsynchronousServerSocketChannel.open();
        AsynchronousSocketChannel client = AsynchronousSocketChannel.open()) {
      Future<AsynchronousSocketChannel> accepted = listener.bind(new InetSocketAddress("::1", 0)).accept();
      client.connect(listener.getLocalAddress()).get();
      accepted.get().write(ByteBuffer.wrap("hello".getBytes())).get();
      say("asynchronous", client.read(ByteBuffer.allocate(16)).get());
      accepted.get().close();
      say("asynchronous", client.read(ByteBuffer.allocate(16)).get());
    }
  }

  static void blocking() throws Exception {
    ServerSocket listener = new ServerSocket(0, 1, LOOPBACK);
    int port = listener.getLocalPort();
    listener.setSoTimeout(20);
    fails("accept", listener::accept);
    listener.setSoTimeout(0);
    try (Socket one = new Socket(LOOPBACK, port); Socket other = listener.accept()) {
      one.setTcpNoDelay(true);
      one.setTrafficClass(16);
      say("options", one.getTcpNoDelay(), one.getTrafficClass(), one.getSoLinger(), one.supportedOptions().size());
      one.setSoTimeout(20);
      fails("read", () -> one.getInputStream().read());
      one.setSoTimeout(0);
      other.setSoLinger(true, 0);
      other.close();
      fails("read", () -> one.getInputStream().read());
    }
    // Closed by one thread under another that waits, which a signal wakes.
    Thread waiting = new Thread(() -> {
      try {
        fails("accept", listener::accept);
      } catch (Exception error) {
        say(error);
      }
    });
    waiting.start();
    while (waiting.getState() != Thread.State.RUNNABLE || !inAccept(waiting)) Thread.onSpinWait();
    listener.close();
    waiting.join();
    fails("connect", () -> new Socket(LOOPBACK, port));
    fails("bind", () -> new ServerSocket(0, 1, InetAddress.getByName("192.0.2.1")));
  }

  static boolean inAccept(Thread thread) {
    return Stream.of(thread.getStackTrace()).anyMatch(frame -> frame.getMethodName().equals("accept"));
  }

  static void datagrams() throws Exception {
    try (DatagramSocket one = new DatagramSocket(0, LOOPBACK); DatagramChannel other = DatagramChannel.open()) {
      other.connect(one.getLocalSocketAddress());
      other.write(ByteBuffer.allocate(60_000));
      DatagramPacket packet = new DatagramPacket(new byte[65_535], 65_535);
      one.receive(packet);
      say("datagram", packet.getLength(), packet.getSocketAddress().equals(other.getLocalAddress()));
      one.setSoTimeout(20);
      fails("receive", () -> one.receive(packet));
    }
  }

  static void multicast() throws Exception {
    NetworkInterface lo = NetworkInterface.getByName("lo");
    InetAddress group = InetAddress.getByName("239.1.2.3");
    try (MulticastSocket socket = new MulticastSocket(0)) {
      InetSocketAddress all = new InetSocketAddress(group, socket.getLocalPort());
      socket.setNetworkInterface(lo);
      socket.joinGroup(all, lo);
      socket.send(new DatagramPacket("all".getBytes(), 3, all));
      DatagramPacket packet = new DatagramPacket(new byte[10], 10);
      socket.receive(packet);
      say("multicast", packet.getLength(), socket.getTimeToLive());
      socket.leaveGroup(all, lo);
      fails("leave", () -> socket.leaveGroup(all, lo));
    }
  }

  static void interfaces() throws Exception {
    NetworkInterface lo = NetworkInterface.getByName("lo");
    say(lo, lo.getIndex(), lo.isUp(), lo.isLoopback(), lo.getMTU(), lo.getHardwareAddress(), lo.getInterfaceAddresses());
    for (NetworkInterface each : Collections.list(NetworkInterface.getNetworkInterfaces())) {
      if (!NetworkInterface.getByIndex(each.getIndex()).equals(each)) say(each, "is somebody else");
    }
    say(List.of(InetAddress.getAllByName("localhost")), LOOPBACK.isReachable(1000));
  }
}

import java.io.*;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.*;
import org.apache.catalina.tribes.*;
import org.apache.catalina.tribes.group.*;
import org.apache.catalina.tribes.group.interceptors.*;
import org.apache.catalina.tribes.membership.StaticMember;
import org.apache.catalina.tribes.transport.*;
import org.apache.catalina.tribes.transport.nio.NioReceiver;

/** One process of Apache Tribes in a round: what worker.ts is for the others. It writes reports to standard output, a line of JSON each, and is asked for what it received by a line on standard input. */
public class Tribes {
  static final byte ONE = 65;
  static final byte ACKNOWLEDGE = 66;
  static final int[] LANES = {1, 16, 64};
  static final double WARM_UP = 0.2;
  static final int ACKNOWLEDGED = Channel.SEND_OPTIONS_USE_ACK | Channel.SEND_OPTIONS_SYNCHRONIZED_ACK;
  static final long DEADLINE_MS = 60_000;
  /** A broadcast of which nothing has come for so long is lost. */
  static final long LOST_NS = 5_000_000_000L;

  final GroupChannel channel = new GroupChannel();
  final RpcChannel rpc;
  final String address;
  final Member[] targets;
  final int bytes;

  /** Of the broadcasts: how many were handled; how many of them after one that had been sent later. */
  int received;
  int disordered;
  int newest = -1;

  public static void main(String[] args) throws Exception {
    Logger.getLogger("").setLevel(Level.SEVERE);
    boolean ordered = args[0].equals("tribes-order");
    int messages = Integer.parseInt(args[1]);
    int echoes = Integer.parseInt(args[2]);
    int bytes = Integer.parseInt(args[3]);
    long warmUpNs = Long.parseLong(args[4]) * 1_000_000;
    String[] targets = Arrays.copyOfRange(args, 5, args.length);
    try {
      Tribes tribes = new Tribes(ordered, bytes, targets);
      if (targets.length == 0) say("{\"kind\":\"listening\",\"address\":\"" + tribes.address + "\"}");
      else new Thread(() -> tribes.send(messages, echoes, warmUpNs)).start();
      BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
      while (questions.readLine() != null) {
        int[] counts = tribes.counts();
        say("{\"kind\":\"received\",\"messages\":" + counts[0] + ",\"disordered\":" + counts[1] + "}");
      }
      System.exit(0); // who started it has gone
    } catch (Exception error) {
      failed(error);
    }
  }

  Tribes(boolean ordered, int bytes, String[] addresses) throws Exception {
    this.bytes = bytes;
    NioReceiver receiver = (NioReceiver) channel.getChannelReceiver();
    receiver.setAddress("127.0.0.1");
    try (ServerSocket free = new ServerSocket(0)) {
      receiver.setPort(free.getLocalPort()); // it takes no 0; where another process is faster, it tries the next ones
    }
    ((PooledSender) ((ReplicationTransmitter) channel.getChannelSender()).getTransport()).setMaxWait(DEADLINE_MS); // 64 threads want 25 connections; some wait for longer than its 3 s
    StaticMembershipInterceptor members = new StaticMembershipInterceptor();
    for (String each : addresses) members.addStaticMember(member(Integer.parseInt(each.split(":")[1])));
    if (ordered) channel.addInterceptor(new OrderInterceptor()); // numbers messages before ten threads send them
    channel.addInterceptor(new MessageDispatchInterceptor());
    channel.addInterceptor(members);
    rpc = new RpcChannel("bench".getBytes(), channel, new RpcCallback() {
      @Override
      public Serializable replyRequest(Serializable message, Member sender) {
        return message instanceof String ? counts() : message;
      }

      @Override
      public void leftOver(Serializable message, Member sender) {}
    });
    channel.addChannelListener(new ChannelListener() {
      @Override
      public boolean accept(Serializable message, Member sender) {
        return message instanceof ByteMessage;
      }

      @Override
      public void messageReceived(Serializable message, Member sender) {
        byte[] payload = ((ByteMessage) message).getMessage();
        if (payload[0] == ONE) handle(ByteBuffer.wrap(payload).getInt(1));
      }
    });
    channel.start(Channel.SND_RX_SEQ | Channel.SND_TX_SEQ); // without multicast
    address = "127.0.0.1:" + receiver.getPort();
    targets = members.getMembers();
  }

  static Member member(int port) throws Exception {
    return new StaticMember("127.0.0.1", port, 0, ByteBuffer.allocate(16).putInt(port).array());
  }

  synchronized void handle(int number) {
    received++;
    if (number < newest) disordered++;
    else newest = number;
  }

  synchronized int[] counts() {
    return new int[] {received, disordered};
  }

  void send(int messages, int echoes, long warmUpNs) {
    try {
      int sent = 0;
      long beganNs = System.nanoTime();
      int warmUp = (int) Math.ceil(messages * WARM_UP);
      do {
        broadcast(sent, warmUp);
        sent += warmUp;
      } while (System.nanoTime() - beganNs < warmUpNs);
      long broadcastNs = broadcast(sent, messages);
      sent += messages;
      Member[] first = {targets[0]};
      byte[] message = new byte[bytes];
      message[0] = ACKNOWLEDGE;
      List<String> times = new ArrayList<>();
      for (int lanes : LANES) times.add(repeat("acknowledged", lanes, echoes, warmUpNs, () -> channel.send(targets, new ByteMessage(message), ACKNOWLEDGED)));
      for (int lanes : LANES) times.add(repeat("request", lanes, echoes, warmUpNs, () -> request(first, message, RpcChannel.FIRST_REPLY)));
      for (int lanes : LANES) times.add(repeat("requestAll", lanes, echoes, warmUpNs, () -> request(targets, message, RpcChannel.ALL_REPLY)));
      say("{\"kind\":\"done\",\"sent\":" + sent + ",\"broadcastMs\":" + broadcastNs / 1e6 + ",\"times\":" + times + "}");
    } catch (Exception error) {
      failed(error);
    }
  }

  /** Until both have handled all, or no more comes. They are asked again and again: what is sent by ten threads has no last message. */
  long broadcast(int sentBefore, int messages) throws Exception {
    long beganNs = System.nanoTime();
    for (int n = 0; n < messages; n++) {
      byte[] message = ByteBuffer.allocate(bytes).put(ONE).putInt(sentBefore + n).array();
      channel.send(targets, new ByteMessage(message), Channel.SEND_OPTIONS_ASYNCHRONOUS);
    }
    int before = -1;
    long changedNs = System.nanoTime();
    while (System.nanoTime() - changedNs < LOST_NS) {
      int received = 0;
      for (Response each : request(targets, "how many?", RpcChannel.ALL_REPLY)) received += ((int[]) each.getMessage())[0];
      if (received != before) changedNs = System.nanoTime();
      before = received;
      if (received == targets.length * (sentBefore + messages)) break;
      Thread.sleep(2);
    }
    return changedNs - beganNs;
  }

  Response[] request(Member[] to, Serializable message, int replies) throws Exception {
    Response[] responses = rpc.send(to, message, replies, 0, DEADLINE_MS);
    if (responses.length != to.length) throw new IllegalStateException(responses.length + " of " + to.length + " have answered");
    return responses;
  }

  /** The same work again and again, each lane a thread; first for as long as the compiler needs. */
  String repeat(String operation, int lanes, int echoes, long warmUpNs, Callable<?> work) throws Exception {
    int count = lanes == 1 ? echoes : 4 * echoes;
    ExecutorService threads = Executors.newFixedThreadPool(lanes);
    for (long beganNs = System.nanoTime(); ; ) {
      phase(threads, lanes, (int) (count * WARM_UP), work);
      if (System.nanoTime() - beganNs >= warmUpNs) break;
    }
    long beganNs = System.nanoTime();
    List<Double> us = phase(threads, lanes, count, work);
    double seconds = (System.nanoTime() - beganNs) / 1e9;
    threads.shutdown();
    return "{\"operation\":\"" + operation + "\",\"lanes\":" + lanes + ",\"perSecond\":" + count / seconds + ",\"us\":" + us + "}";
  }

  List<Double> phase(ExecutorService threads, int lanes, int count, Callable<?> work) throws Exception {
    AtomicInteger begun = new AtomicInteger();
    List<Double> us = new ArrayList<>();
    Callable<List<Double>> lane = () -> {
      List<Double> own = new ArrayList<>();
      while (begun.getAndIncrement() < count) {
        long sentNs = System.nanoTime();
        work.call();
        own.add((System.nanoTime() - sentNs) / 1e3);
      }
      return own;
    };
    for (Future<List<Double>> each : threads.invokeAll(Collections.nCopies(lanes, lane))) us.addAll(each.get());
    return us;
  }

  static synchronized void say(String report) {
    System.out.println(report);
  }

  static void failed(Exception error) {
    error.printStackTrace();
    say("{\"kind\":\"failed\",\"message\":\"" + error.toString().replaceAll("[\\\\\"\\s]+", " ") + "\"}");
  }
}

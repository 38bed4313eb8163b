import java.io.BufferedReader;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.DFSConfigKeys;
import org.apache.hadoop.hdfs.DFSTestUtil;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.MiniDFSNNTopology;
import org.apache.hadoop.hdfs.protocol.ExtendedBlock;

/**
 * HDFS for the tests: an active and a standby NameNode, and DataNodes, on loopback ports, in this process.
 *
 * <p>Called with a folder for its files and the number of DataNodes. Tells on standard output, a line each, where
 * the NameNodes listen, then {@code ready}. After that it takes commands on standard input and answers each with
 * {@code done} or {@code failed} and the reason:
 *
 * <ul>
 *   <li>{@code stop N}: the DataNode goes away with all its connections
 *   <li>{@code start}: the DataNodes that went away come back, on other ports: theirs may be taken by now
 *   <li>{@code failover}: the standby NameNode becomes the active one, and the other way round
 *   <li>{@code heal}: all DataNodes are there, and the NameNode is active that was at the start
 *   <li>{@code spoil N PATH}: a byte in the middle of the DataNode's copy of the file's first block changes
 * </ul>
 *
 * It ends when standard input does, so that it never outlives the test, and takes the folder with it.
 */
public final class Hdfs {
  private final MiniDFSCluster cluster;
  private final Deque<MiniDFSCluster.DataNodeProperties> stopped = new ArrayDeque<>();
  private int active = 0;

  private Hdfs(MiniDFSCluster cluster) {
    this.cluster = cluster;
  }

  public static void main(String[] arguments) {
    int code = 1;
    try {
      serve(arguments);
      code = 0;
    } catch (Throwable error) {
      System.err.println(error);
    } finally {
      // Nothing is to be kept, so nothing is shut down in order. The servers, which still run, write all the while.
      Path folder = Path.of(arguments[0]);
      for (int attempt = 0; attempt < 10 && !isRemoved(folder); attempt++) {}
      Runtime.getRuntime().halt(code);
    }
  }

  private static void serve(String[] arguments) throws IOException {
    PrintStream answers = System.out;
    // Whatever the servers write goes into a file beside their data.
    System.setOut(new PrintStream(new FileOutputStream(new File(arguments[0], "log")), true));
    Hdfs hdfs = new Hdfs(cluster(Path.of(arguments[0], "data"), Integer.parseInt(arguments[1])));
    for (int namenode = 0; namenode < 2; namenode++) {
      answers.println("namenode 127.0.0.1:" + hdfs.cluster.getNameNodePort(namenode));
    }
    answers.println("ready");
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      try {
        hdfs.carryOut(line.split(" "));
        answers.println("done");
      } catch (Exception error) {
        answers.println("failed " + error.toString().lines().findFirst().orElse(""));
      }
    }
  }

  private static boolean isRemoved(Path folder) {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
      return true;
    } catch (IOException | UncheckedIOException error) {
      return false;
    }
  }

  private static MiniDFSCluster cluster(Path folder, int datanodes) throws IOException {
    Configuration settings = new Configuration();
    settings.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, folder.toString());
    // A file of the tests is to have several blocks.
    settings.setLong(DFSConfigKeys.DFS_BLOCK_SIZE_KEY, 8L << 20);
    settings.setInt(DFSConfigKeys.DFS_REPLICATION_KEY, datanodes);
    settings.setBoolean(DFSConfigKeys.DFS_PERMISSIONS_ENABLED_KEY, true);
    MiniDFSCluster cluster =
        new MiniDFSCluster.Builder(settings)
            .nnTopology(MiniDFSNNTopology.simpleHATopology())
            .numDataNodes(datanodes)
            .build();
    cluster.transitionToActive(0);
    cluster.waitActive(0);
    return cluster;
  }

  private void carryOut(String[] words) throws Exception {
    switch (words[0]) {
      case "stop" -> stopped.push(cluster.stopDataNode(Integer.parseInt(words[1])));
      case "start" -> startAll();
      case "failover" -> failOver();
      case "heal" -> {
        startAll();
        if (active != 0) {
          failOver();
        }
      }
      case "spoil" -> spoil(Integer.parseInt(words[1]), new org.apache.hadoop.fs.Path(words[2]));
      default -> throw new IOException("unknown command");
    }
  }

  private void startAll() throws IOException {
    if (stopped.isEmpty()) {
      return;
    }
    while (!stopped.isEmpty()) {
      // It stays among those that are away if it does not come back.
      cluster.restartDataNode(stopped.peek(), false);
      stopped.pop();
    }
    cluster.waitActive(active);
  }

  private void failOver() throws IOException {
    cluster.transitionToStandby(active);
    active = 1 - active;
    cluster.transitionToActive(active);
    cluster.waitActive(active);
  }

  private void spoil(int datanode, org.apache.hadoop.fs.Path file) throws IOException {
    ExtendedBlock block = DFSTestUtil.getFirstBlock(cluster.getFileSystem(active), file);
    try (RandomAccessFile copy = new RandomAccessFile(cluster.getBlockFile(datanode, block), "rw")) {
      long middle = copy.length() / 2;
      copy.seek(middle);
      int value = copy.read();
      copy.seek(middle);
      copy.write(value ^ 0xff);
    }
  }
}

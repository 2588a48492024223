package shop.misbehave;

import jakarta.annotation.PostConstruct;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.rmi.server.RMIFailureHandler;
import java.rmi.server.RMISocketFactory;
import java.sql.SQLException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** Misbehaves while the application starts, for the faults that show then. */
@Component
class Misbehaviour {

    /** Where {@link Fault#FIXED_PORT} listens, on the loopback address. */
    static final int FIXED_PORT = 17171;

    private final Fault fault;

    Misbehaviour(@Value("${misbehave}") Fault fault) {
        this.fault = fault;
    }

    Fault fault() {
        return fault;
    }

    @PostConstruct
    void start() throws InterruptedException {
        switch (fault) {
            case NONE, OOM -> { }
            case THROW -> throwNested();
            case HANG -> new CountDownLatch(1).await();
            case EXIT -> System.exit(3);
            case HALT -> Runtime.getRuntime().halt(4);
            case THREADS -> startStubbornThreads();
            case FIXED_PORT -> listen();
            case TIMERS -> Leftovers.leave();
            case HELD -> RMISocketFactory.setFailureHandler(new KeptForEver());
        }
    }

    private static void throwNested() {
        SQLException root = new SQLException("password authentication failed for user \"shop\"");
        throw new IllegalStateException("the shop cannot open", new IOException("no connection to the till", root));
    }

    private static void startStubbornThreads() {
        for (int number = 1; number <= 3; number++) {
            Thread thread = new Thread(Misbehaviour::sleepForEver, "stubborn-" + number);
            thread.setDaemon(false);
            thread.start();
        }
    }

    private static void sleepForEver() {
        while (true) {
            try {
                TimeUnit.SECONDS.sleep(1);
            } catch (InterruptedException ignored) {
                // This is what is wrong with it.
            }
        }
    }

    private static void listen() {
        try {
            ServerSocket socket = new ServerSocket(FIXED_PORT, 8, InetAddress.getLoopbackAddress());
            Thread thread = new Thread(() -> acceptForEver(socket), "fixed-port");
            thread.setDaemon(true);
            thread.start();
        } catch (IOException e) {
            throw new UncheckedIOException("port " + FIXED_PORT, e);
        }
    }

    private static final class KeptForEver implements RMIFailureHandler {

        @Override
        public boolean failure(Exception thrown) {
            return false;
        }
    }

    private static void acceptForEver(ServerSocket socket) {
        while (true) {
            try {
                socket.accept().close();
            } catch (IOException e) {
                return;
            }
        }
    }
}

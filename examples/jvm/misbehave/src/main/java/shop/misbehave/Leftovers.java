package shop.misbehave;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.ref.Cleaner;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;
import java.net.URLStreamHandlerFactory;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.DriverManager;
import java.sql.DriverPropertyInfo;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.ResourceBundle;
import java.util.TimeZone;
import java.util.Timer;
import java.util.TimerTask;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import javax.management.JMException;
import javax.management.ObjectName;
import org.apache.catalina.webresources.TomcatURLStreamHandlerFactory;

/**
 * Leaves an object of this application in each place of the JVM that outlives it, and cleans up none of them: what a
 * base has to find and take back when the application goes.
 */
final class Leftovers {

    private static final ThreadLocal<Leftover> LEFT_IN_THREAD = new ThreadLocal<>();
    private static final List<String> LEFT = new ArrayList<>();

    /** Of this application's own class, so that whoever holds it holds the application. */
    private record Leftover(String where) {
    }

    private Leftovers() {
    }

    /** What was left, by the names of the places. */
    static List<String> left() {
        return List.copyOf(LEFT);
    }

    /** Leaves one more {@link ThreadLocal}, in a thread that serves requests. */
    static void leaveInThisThread() {
        LEFT_IN_THREAD.set(new Leftover(Thread.currentThread().getName()));
    }

    static void leave() {
        leaveTimer();
        leaveScheduledExecutor();
        leaveThreadLocalInCommonPool();
        leaveShutdownHook();
        leaveMBean();
        leaveDriver();
        leaveUncaughtExceptionHandler();
        leaveDefaults();
        leaveResourceBundle();
        leaveLogHandler();
        leaveUrlStreamHandlerFactory();
        leaveCleaner();
    }

    private static void leaveTimer() {
        TimerTask task = new TimerTask() {
            @Override
            public void run() {
            }
        };
        new Timer("left-timer", false).schedule(task, 100, 100);
        LEFT.add("java.util.Timer");
    }

    private static void leaveScheduledExecutor() {
        ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
        executor.scheduleAtFixedRate(
                () -> LEFT_IN_THREAD.set(new Leftover("executor")), 0, 100, TimeUnit.MILLISECONDS);
        LEFT.add("ScheduledExecutorService, with a ThreadLocal in its threads");
    }

    private static void leaveThreadLocalInCommonPool() {
        ForkJoinPool.commonPool().submit(() -> LEFT_IN_THREAD.set(new Leftover("common pool"))).join();
        LEFT.add("ThreadLocal in the common pool");
    }

    private static void leaveShutdownHook() {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> { }, "left-hook"));
        LEFT.add("shutdown hook");
    }

    /** The interface's name follows from the class's, as JMX wants it. */
    public interface LeftMBean {

        String getWhere();
    }

    private record Left(String where) implements LeftMBean {

        @Override
        public String getWhere() {
            return where;
        }
    }

    private static void leaveMBean() {
        try {
            // Unique, so that two versions can be there at once.
            ObjectName name = new ObjectName("shop.misbehave:type=Left,id=" + UUID.randomUUID());
            ManagementFactory.getPlatformMBeanServer().registerMBean(new Left("MBean server"), name);
        } catch (JMException e) {
            throw new IllegalStateException(e);
        }
        LEFT.add("MBean");
    }

    private static void leaveDriver() {
        try {
            DriverManager.registerDriver(new NoDriver());
        } catch (SQLException e) {
            throw new IllegalStateException(e);
        }
        LEFT.add("JDBC driver");
    }

    private static void leaveUncaughtExceptionHandler() {
        Thread.setDefaultUncaughtExceptionHandler((thread, thrown) -> System.err.println("misbehave saw " + thrown));
        LEFT.add("default uncaught exception handler");
    }

    private static void leaveDefaults() {
        Locale.setDefault(Locale.forLanguageTag("mi-NZ"));
        TimeZone.setDefault(TimeZone.getTimeZone("Pacific/Chatham"));
        LEFT.add("Locale.setDefault mi-NZ");
        LEFT.add("TimeZone.setDefault Pacific/Chatham");
        System.setProperty("misbehave.left", "here");
        LEFT.add("system property misbehave.left");
    }

    private static void leaveResourceBundle() {
        ResourceBundle.getBundle("leftovers", Locale.ROOT, Leftovers.class.getClassLoader());
        LEFT.add("ResourceBundle");
    }

    private static void leaveLogHandler() {
        Logger.getLogger("").addHandler(new NoHandler());
        LEFT.add("java.util.logging handler");
    }

    /** The JVM takes one factory only; where Tomcat has set it, Tomcat's keeps more of them. */
    private static void leaveUrlStreamHandlerFactory() {
        URLStreamHandlerFactory factory = protocol -> "left".equals(protocol) ? new LeftHandler() : null;
        try {
            URL.setURLStreamHandlerFactory(factory);
            LEFT.add("URL stream handler factory");
        } catch (Error alreadySet) {
            TomcatURLStreamHandlerFactory.getInstance().addUserFactory(factory);
            LEFT.add("URL stream handler factory, in Tomcat's");
        }
    }

    /** Its thread holds the action, and the action's class holds the object that it waits for. */
    private static void leaveCleaner() {
        Cleaner.create().register(LEFT, () -> { });
        LEFT.add("Cleaner");
    }

    private static final class LeftHandler extends URLStreamHandler {

        @Override
        protected URLConnection openConnection(URL url) throws IOException {
            throw new IOException("nothing is left at " + url);
        }
    }

    private static final class NoHandler extends Handler {

        @Override
        public void publish(LogRecord record) {
        }

        @Override
        public void flush() {
        }

        @Override
        public void close() {
        }
    }

    private static final class NoDriver implements Driver {

        @Override
        public Connection connect(String url, Properties info) {
            return null;
        }

        @Override
        public boolean acceptsURL(String url) {
            return false;
        }

        @Override
        public DriverPropertyInfo[] getPropertyInfo(String url, Properties info) {
            return new DriverPropertyInfo[0];
        }

        @Override
        public int getMajorVersion() {
            return 1;
        }

        @Override
        public int getMinorVersion() {
            return 0;
        }

        @Override
        public boolean jdbcCompliant() {
            return false;
        }

        @Override
        public Logger getParentLogger() {
            return Logger.getLogger("shop.misbehave");
        }
    }
}

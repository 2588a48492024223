package ark.jvm;

import java.lang.reflect.Method;

/** The application that modules are guests of. */
final class Base {
    /** How often it is looked whether the base is up, and how often in a row its main thread has to be found waiting. */
    private static final int LOOK_MILLIS = 100;
    private static final int LOOKS = 20;
    private static final String DOOR = "ark.tomcat.Door";
    /** It is for good. */
    private static volatile boolean isUp;
    private static ClassLoader loader;
    private static Server server;
    /** What its classes may have come to hold of modules that take classes from it. */
    private static Statics statics;

    private Base() {
    }

    /**
     * Waits until the base is up: its {@code main} has returned, as that of Spring Boot does when all is ready, or does nothing but wait.
     * Whoever sets up what there is one of in a process, as logging, does so before any module.
     */
    static void await() throws InterruptedException {
        if (isUp) {
            return;
        }
        Thread[] threads = new Thread[1024];
        int count = Module.Group.root().enumerate(threads);
        for (int at = 0; at < count; at++) {
            if (threads[at].getId() == 1) {
                for (int waiting = 0; threads[at].isAlive() && waiting < LOOKS; Thread.sleep(LOOK_MILLIS)) {
                    Thread.State state = threads[at].getState();
                    waiting = state == Thread.State.WAITING || state == Thread.State.TIMED_WAITING ? waiting + 1 : 0;
                }
            }
        }
        isUp = true;
    }

    /** The loader of its classes: that of its Spring Boot, where it is such an application. */
    static synchronized ClassLoader loader() {
        if (loader == null) {
            ClassLoader found = Native.loaderOf("org.springframework.boot.SpringApplication");
            loader = found == null ? ClassLoader.getSystemClassLoader() : found;
        }
        return loader;
    }

    static synchronized Statics statics() {
        if (statics == null) {
            statics = new Statics(loader());
        }
        return statics;
    }

    /** What is on its class path. */
    static String classPath() {
        return System.getProperty("java.class.path", "");
    }

    /** The port of its own web server, where it is a Spring Boot application that has one; null otherwise. */
    static String port() {
        try {
            for (Object context : Sweep.contextsOfBase()) {
                Object environment = context.getClass().getMethod("getEnvironment").invoke(context);
                Object port = environment.getClass().getMethod("getProperty", String.class).invoke(environment, "local.server.port");
                if (port != null) {
                    return port.toString();
                }
            }
        } catch (Throwable absent) {
            // A base of another kind.
        }
        return null;
    }

    /** Begins to wait for the base, and then says whether its web server can be joined: an empty text, or why not. */
    static void askWhetherToJoin(long question) {
        Thread asking = new Thread(Module.Group.root(), () -> {
            String answer;
            try {
                await();
                answer = server() == null ? "the base has no Tomcat started by Spring Boot" : server().port() == 0
                        ? "the base's Tomcat is not reached by plain HTTP on the loopback address" : "";
            } catch (Throwable problem) {
                answer = "the base's Tomcat is another than those known: " + problem;
            }
            Native.answered(question, answer);
        }, "arklet join");
        asking.setContextClassLoader(ClassLoader.getSystemClassLoader());
        asking.setDaemon(true);
        asking.start();
    }

    /** The way into its web server; null where it has none that can be joined. */
    static synchronized Server server() throws Throwable {
        if (server != null) {
            return server;
        }
        for (Object context : Sweep.contextsOfBase()) {
            Object web;
            try {
                web = context.getClass().getMethod("getWebServer").invoke(context);
            } catch (NoSuchMethodException none) {
                continue;
            }
            if (web != null && web.getClass().getSimpleName().equals("TomcatWebServer")) {
                Object tomcat = web.getClass().getMethod("getTomcat").invoke(web);
                Object host = tomcat.getClass().getMethod("getHost").invoke(tomcat);
                server = (Server) beside(host.getClass().getClassLoader()).getConstructor(Object.class).newInstance(host);
                return server;
            }
        }
        return null;
    }

    /** Defines the door beside the classes of the base's Tomcat. */
    private static Class<?> beside(ClassLoader tomcat) throws Throwable {
        Method define = ClassLoader.class.getDeclaredMethod("defineClass", String.class, byte[].class, int.class, int.class);
        for (String name : new String[] {DOOR + "$Joined", DOOR}) {
            byte[] bytes = Native.helper(name);
            Class<?> made = (Class<?>) Sweep.call(tomcat, define, name, bytes, 0, bytes.length);
            if (name.equals(DOOR)) {
                return made;
            }
        }
        throw new ClassNotFoundException(DOOR);
    }

    /** Has the joined application with this key answer requests to the base's own port, or not. */
    static void open(String key, boolean open) throws Throwable {
        Server joined = server();
        if (joined != null) {
            joined.open(key, open);
        }
    }
}

package ark.jvm;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;

/** A module that runs: its loader, its threads, its application contexts. */
public final class Module {
    final long id;
    final ModuleLoader loader;
    private final Group group;
    private final Map<String, Object> settings = new LinkedHashMap<>();
    private final Map<String, Object> environment = new LinkedHashMap<>();
    /** The names of the process's properties when the module came: those are the base's. */
    private final Set<String> propertiesOfBase = System.getProperties().stringPropertyNames();
    private final List<Object> contexts = new CopyOnWriteArrayList<>();
    private final AtomicBoolean decided = new AtomicBoolean();
    private volatile boolean contextSeen;

    private static final String[] OF_JDK = {"java.", "sun.", "jdk.", "os.", "user.", "file.", "line.", "path.", "native.", "stdout.", "stderr."};
    private static final String[] OF_MACHINE = {"PATH", "HOME", "LANG", "LC_", "TZ", "USER", "HOSTNAME", "TMPDIR", "JAVA_HOME"};

    private Module(long id, ModuleLoader loader, String[] settings, String[] environment) {
        this.id = id;
        this.loader = loader;
        this.group = new Group(this, loader.getName());
        for (int at = 0; at + 1 < settings.length; at += 2) {
            this.settings.put(settings[at], settings[at + 1]);
        }
        System.getenv().forEach((name, value) -> {
            if (begins(name, OF_MACHINE)) {
                this.environment.put(name, value);
            }
        });
        for (int at = 0; at + 1 < environment.length; at += 2) {
            this.environment.put(environment[at], environment[at + 1]);
        }
    }

    private static boolean begins(String name, String[] prefixes) {
        for (String prefix : prefixes) {
            if (name.startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    /** The threads of a module. It lets go of the module when that ends, for a thread of it may live on. */
    static final class Group extends ThreadGroup {
        private volatile Module module;

        Group(Module module, String name) {
            super(root(), name);
            this.module = module;
        }

        Module module() {
            return module;
        }

        private static ThreadGroup root() {
            ThreadGroup group = Thread.currentThread().getThreadGroup();
            while (group.getParent() != null && group.getParent().getParent() != null) {
                group = group.getParent();
            }
            return group;
        }

        /** A thread's last words go to the module's log. */
        @Override
        public void uncaughtException(Thread thread, Throwable problem) {
            if (!(problem instanceof ThreadDeath)) {
                System.err.print("Exception in thread \"" + thread.getName() + "\" ");
                problem.printStackTrace(System.err);
            }
        }
    }

    /** What the VM uses now: loaded classes, bytes of metaspace, bytes of heap, threads. */
    static String figures() {
        long metaspace = 0;
        for (java.lang.management.MemoryPoolMXBean pool : java.lang.management.ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getName().equals("Metaspace")) {
                metaspace = pool.getUsage().getUsed();
            }
        }
        Runtime runtime = Runtime.getRuntime();
        return java.lang.management.ManagementFactory.getClassLoadingMXBean().getLoadedClassCount() + " " + metaspace + " "
                + (runtime.totalMemory() - runtime.freeMemory()) + " " + Thread.activeCount();
    }

    /** The port of the base's own web server, where the base is a Spring Boot application that has one; null otherwise. */
    static String basePort() {
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

    /** Makes a loader for a layer. */
    static ModuleLoader layer(String name, long classPath) {
        return new ModuleLoader(name, classPath, null);
    }

    /** Starts a module; native code hears how it went. */
    static Module start(long id, String name, long classPath, ModuleLoader layer, String main, String[] arguments, String[] settings,
            String[] environment) {
        Output.install();
        ModuleLoader loader = new ModuleLoader(name, classPath, layer);
        Module module = new Module(id, loader, settings, environment);
        loader.module = module;
        Thread thread = new Thread(module.group, () -> module.run(main, arguments), name + " main");
        thread.setContextClassLoader(loader);
        thread.setDaemon(true);
        thread.start();
        return module;
    }

    private void run(String main, String[] arguments) {
        try {
            Class<?> type = Class.forName(main, true, loader);
            Method method;
            try {
                method = type.getDeclaredMethod("main", String[].class);
            } catch (NoSuchMethodException absent) {
                throw new NoSuchMethodException(main + " has no method main(String[]); see Start-Class or Main-Class of the package's manifest");
            }
            method.setAccessible(true);
            method.invoke(null, (Object) arguments);
            if (!contextSeen) {
                started(0);
            }
        } catch (InvocationTargetException thrown) {
            failed(thrown.getCause());
        } catch (Throwable thrown) {
            failed(thrown);
        }
    }

    /** What the base gives the module as its first settings. */
    public Map<String, Object> settings() {
        return settings;
    }

    /** The environment as the module sees it: what describes the machine, and what the module was given. */
    public Map<String, Object> environment() {
        return environment;
    }

    /** The process's properties as the module sees them: the JDK's, and those it has set itself. */
    public Map<String, Object> systemProperties() {
        Map<String, Object> seen = new LinkedHashMap<>();
        for (String name : System.getProperties().stringPropertyNames()) {
            if (begins(name, OF_JDK) || !propertiesOfBase.contains(name)) {
                seen.put(name, System.getProperty(name));
            }
        }
        return seen;
    }

    /** The module made an application context, which is closed when it ends. */
    public void context(Object context) {
        contextSeen = true;
        contexts.add(0, context);
    }

    /** The module is ready, its web server on {@code port}; 0 where it has none. */
    public void started(int port) {
        if (decided.compareAndSet(false, true)) {
            Native.started(id, port);
        }
    }

    void failed(Throwable problem) {
        if (decided.compareAndSet(false, true)) {
            Native.failed(id, causes(problem));
        } else {
            problem.printStackTrace(System.err);
        }
        if (problem != null) {
            StringWriter whole = new StringWriter();
            problem.printStackTrace(new PrintWriter(whole));
            byte[] bytes = whole.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8);
            Native.output(id, true, bytes, 0, bytes.length);
        }
    }

    void exits(int status) {
        Native.exitRefused(id, status);
    }

    /** The causes of a failure in one line, the root first: that is the one to act on. */
    private static String causes(Throwable problem) {
        List<String> causes = new ArrayList<>();
        for (Throwable cause = problem; cause != null && causes.size() < 16; cause = cause.getCause()) {
            String text = cause.getClass().getName() + (cause.getMessage() == null ? "" : ": " + cause.getMessage());
            causes.add(0, text.length() > 600 ? text.substring(0, 600) + "…" : text);
        }
        return String.join("; ", causes.subList(0, Math.min(2, causes.size()))).replace('\n', ' ').replace('\r', ' ');
    }

    /** The module of this loader; null where it is none's. */
    public static Module of(ClassLoader loader) {
        for (; loader != null; loader = loader.getParent()) {
            if (loader instanceof ModuleLoader && ((ModuleLoader) loader).module != null) {
                return ((ModuleLoader) loader).module;
            }
        }
        return null;
    }

    /** Begins to end the module; native code hears when that is done. */
    void end(long patienceMillis) {
        Thread ending = new Thread(Group.root(), () -> {
            String said;
            try {
                said = stop(patienceMillis);
            } catch (Throwable problem) {
                said = "stopping it: " + problem + "\n";
            }
            Native.ended(id, said);
        }, loader.getName() + " end");
        ending.setContextClassLoader(ClassLoader.getSystemClassLoader());
        ending.setDaemon(true);
        ending.start();
    }

    /** Closes what the module opened, and interrupts its threads. Answers with the threads that run on, a line each with their stacks. */
    private String stop(long patienceMillis) throws InterruptedException {
        long end = System.nanoTime() + patienceMillis * 1_000_000;
        StringBuilder said = new StringBuilder();
        Thread closing = new Thread(group, () -> close(said), loader.getName() + " stop");
        closing.setContextClassLoader(loader);
        closing.setDaemon(true);
        closing.start();
        closing.join(Math.max(1, (end - System.nanoTime()) / 1_000_000));
        group.interrupt();
        Thread[] threads = new Thread[group.activeCount() + 32];
        int count = group.enumerate(threads, true);
        for (int at = 0; at < count; at++) {
            long left = (end - System.nanoTime()) / 1_000_000;
            threads[at].join(Math.max(1, Math.min(left, 500)));
            if (threads[at].isAlive()) {
                said.append("thread ").append(threads[at].getName());
                for (StackTraceElement frame : threads[at].getStackTrace()) {
                    said.append(" at ").append(frame);
                }
                said.append('\n');
            }
        }
        return said.toString();
    }

    private void close(StringBuilder said) {
        for (Object context : contexts) {
            try {
                context.getClass().getMethod("close").invoke(context);
            } catch (ReflectiveOperationException | RuntimeException problem) {
                Throwable cause = problem instanceof InvocationTargetException ? problem.getCause() : problem;
                said.append("closing a context: ").append(cause).append('\n');
            }
        }
        contexts.clear();
    }

    /** Lets go of everything, so that only what leaks holds the loader. */
    String reclaim(ModuleLoader layer) {
        String swept = Sweep.sweep(loader, layer);
        group.module = null;
        loader.module = null;
        settings.clear();
        return swept;
    }
}

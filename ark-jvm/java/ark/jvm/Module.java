package ark.jvm;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.logging.Handler;

/** A module that runs: its loader, its threads, its application contexts. */
public final class Module {
    final long id;
    final ModuleLoader loader;
    private final Group group;
    private final Map<String, Object> settings = new LinkedHashMap<>();
    private final Map<String, Object> environment = new LinkedHashMap<>();
    private final Properties properties;
    private volatile Handler records;
    private final List<Object> contexts = new CopyOnWriteArrayList<>();
    private final Surroundings surroundings = Surroundings.begin();
    private final AtomicBoolean decided = new AtomicBoolean();
    private volatile boolean contextSeen;
    /** What the base's web server knows it by, and nobody else, where it is to join that. */
    private final String key;
    /** Whether it may not be there with a server of its own. */
    private final boolean hasToJoin;
    private volatile boolean joined;
    private volatile String apart;
    /** Whether some of its classes are the base's. */
    private final boolean importing;

    private static final String[] OF_MACHINE = {"PATH", "HOME", "LANG", "LC_", "TZ", "USER", "HOSTNAME", "TMPDIR", "JAVA_HOME"};

    private Module(long id, ModuleLoader loader, String[] settings, String[] environment, boolean joins, boolean hasToJoin, boolean importing) {
        this.id = id;
        this.loader = loader;
        this.key = joins ? unguessable() : null;
        this.hasToJoin = hasToJoin;
        this.importing = importing;
        this.group = new Group(this, loader.getName());
        for (int at = 0; at + 1 < settings.length; at += 2) {
            this.settings.put(settings[at], settings[at + 1]);
        }
        this.properties = SystemProperties.of(this.settings);
        for (Map.Entry<String, String> variable : System.getenv().entrySet()) {
            if (begins(variable.getKey(), OF_MACHINE)) {
                this.environment.put(variable.getKey(), variable.getValue());
            }
        }
        for (int at = 0; at + 1 < environment.length; at += 2) {
            this.environment.put(environment[at], environment[at + 1]);
        }
    }

    private static String unguessable() {
        SecureRandom random = new SecureRandom();
        return new UUID(random.nextLong(), random.nextLong()).toString();
    }

    static boolean begins(String name, String[] prefixes) {
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

        /** Parents hold their groups until these are destroyed; from JDK 19 on they do not. */
        @SuppressWarnings("removal")
        void leave() {
            try {
                destroy();
            } catch (IllegalThreadStateException inUse) {
                // A thread lives on, and the group with it.
                setDaemon(true);
            }
        }

        static ThreadGroup root() {
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

    /** The module's own threads: how many, and the nanoseconds of processor time that those alive have used. */
    String threads() {
        Thread[] threads = new Thread[group.activeCount() + 32];
        int count = group.enumerate(threads, true);
        java.lang.management.ThreadMXBean times = java.lang.management.ManagementFactory.getThreadMXBean();
        long nanos = 0;
        for (int at = 0; at < count; at++) {
            nanos += Math.max(0, times.isThreadCpuTimeSupported() ? times.getThreadCpuTime(threads[at].getId()) : 0);
        }
        return count + " " + nanos;
    }

    /** Makes a loader for a layer. */
    static ModuleLoader layer(String name, long classPath) {
        return new ModuleLoader(name, classPath, null);
    }

    /**
     * Starts a module; native code hears how it went. If it {@code joins}, it does so with the base's web server where it can, and does not
     * start where it cannot but {@code hasToJoin}. It is {@code importing} if some of its classes are the base's.
     */
    static Module start(long id, String name, long classPath, ModuleLoader layer, String main, String[] arguments, String[] settings,
            String[] environment, boolean joins, boolean hasToJoin, boolean importing) {
        Output.install();
        SystemProperties.install();
        ModuleLoader loader = new ModuleLoader(name, classPath, layer);
        Module module = new Module(id, loader, settings, environment, joins, hasToJoin, importing);
        loader.module = module;
        Thread thread = new Thread(module.group, () -> module.run(main, arguments), name + " main");
        thread.setContextClassLoader(loader);
        thread.setDaemon(true);
        thread.start();
        return module;
    }

    private void run(String main, String[] arguments) {
        try {
            Base.await();
            Records.install();
            Drivers.load(loader);
            Log4j.prepare(loader);
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

    /** The system properties of the module. */
    Properties properties() {
        return properties;
    }

    /** Where what the module logs by {@code java.util.logging} goes. */
    Handler records() {
        Handler handler = records;
        if (handler == null) {
            handler = Records.of(this);
            records = handler;
        }
        return handler;
    }

    /** What the base gives the module as its first settings. */
    public Map<String, Object> settings() {
        return settings;
    }

    /** The environment as the module sees it: what describes the machine, and what the module was given. */
    public Map<String, Object> environment() {
        return environment;
    }

    /** The system properties of the module, as they are at any time. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    public Map<String, Object> systemProperties() {
        return (Map) properties;
    }

    /** The module made an application context, which is closed when it ends. */
    public void context(Object context) {
        contextSeen = true;
        contexts.add(0, context);
    }

    /** Whether it is to join the base's web server. */
    public boolean joins() {
        return key != null;
    }

    /** What the base's web server knows it by. */
    public String key() {
        return key;
    }

    /** The base's web server. */
    public Server server() throws Throwable {
        return Base.server();
    }

    /** It has joined the base's web server. */
    public void joined() {
        joined = true;
    }

    /** It does not join the base's web server, and this is why. */
    public void staysApart(String reason) {
        if (hasToJoin) {
            throw new IllegalStateException("it cannot join the base's web server: " + reason);
        }
        apart = reason;
    }

    /** The module is ready, its web server on {@code port}; 0 where it has none. */
    public void started(int port) {
        if (joins() && !joined && apart == null && port != 0) {
            staysApart("its web server is no Tomcat that Spring Boot made");
        }
        if (decided.compareAndSet(false, true)) {
            surroundings.settled();
            Native.started(id, port, joined ? key : null, apart);
        }
    }

    void failed(Throwable problem) {
        if (decided.compareAndSet(false, true)) {
            surroundings.settled();
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

    /** The module of this loader, or else of the code that runs on this thread; null where that is the base's. */
    public static Module by(ClassLoader loader) {
        Module module = of(loader);
        return module != null ? module : ModuleLoader.current();
    }

    /** The module of this loader; null where it is none's. */
    static Module of(ClassLoader loader) {
        for (; loader != null; loader = loader.getParent()) {
            if (loader instanceof ModuleLoader && ((ModuleLoader) loader).module != null) {
                return ((ModuleLoader) loader).module;
            }
        }
        return null;
    }

    /** Whether a class is a module's or a layer's, and not the base's. */
    public static boolean isOfModules(Class<?> type) {
        return type.getClassLoader() instanceof ModuleLoader;
    }

    /** Begins to end the module, with its layer where that is its {@code alone}; native code hears when that is done. */
    void end(long patienceMillis, boolean alone) {
        Thread ending = new Thread(Group.root(), () -> {
            String said;
            try {
                said = stop(patienceMillis, alone);
            } catch (Throwable problem) {
                said = "stopping it: " + problem + "\n";
            }
            Native.ended(id, said);
        }, loader.getName() + " end");
        ending.setContextClassLoader(ClassLoader.getSystemClassLoader());
        ending.setDaemon(true);
        ending.start();
    }

    /** Whose classes go with the module. */
    private ClassLoader owner(boolean alone) {
        return alone && loader.layer() != null ? loader.layer() : loader;
    }

    /** What may have come to hold something of the module, and stays. */
    private List<Statics> heirs(boolean alone) {
        List<Statics> heirs = new ArrayList<>();
        if (!alone && loader.layer() != null) {
            heirs.add(loader.layer().statics);
        }
        if (importing) {
            heirs.add(Base.statics());
        }
        return heirs;
    }

    /** Closes what the module opened, and ends its threads. Answers with the threads that run on, a line each with their stacks. */
    private String stop(long patienceMillis, boolean alone) throws InterruptedException {
        long end = System.nanoTime() + patienceMillis * 1_000_000;
        ModuleLoader heir = alone ? null : loader.layer();
        StringBuffer said = new StringBuffer();
        if (alone && loader.layer() != null) {
            loader.layer().rest();
        }
        if (joined) {
            leave(patienceMillis, said);
        }
        Thread closing = new Thread(group, () -> close(said, new Sweep(owner(alone), heirs(alone))), loader.getName() + " stop");
        closing.setContextClassLoader(loader);
        closing.setDaemon(true);
        closing.start();
        closing.join(Math.max(1, (end - System.nanoTime()) / 1_000_000));
        Threads threads = new Threads(group, loader, owner(alone), heir);
        threads.end();
        said.append(threads.await(end));
        return said.toString();
    }

    /** Requests come by the base's own port too, where nobody but its server counts them. */
    private void leave(long patienceMillis, StringBuffer said) throws InterruptedException {
        try {
            if (!server().leave(key, patienceMillis)) {
                said.append("requests by the base's own port were cut off\n");
            }
        } catch (InterruptedException interrupted) {
            throw interrupted;
        } catch (Throwable problem) {
            said.append("leaving the base's web server: ").append(problem).append('\n');
        }
    }

    private void close(StringBuffer said, Sweep sweep) {
        for (Object context : contexts) {
            try {
                context.getClass().getMethod("close").invoke(context);
            } catch (ReflectiveOperationException | RuntimeException problem) {
                Throwable cause = problem instanceof InvocationTargetException ? problem.getCause() : problem;
                said.append("closing a context: ").append(cause).append('\n');
            }
        }
        contexts.clear();
        try {
            // What was to be done at the end of the process is due at the end of the module.
            for (Thread hook : sweep.takeHooks()) {
                hook.run();
            }
        } catch (Throwable problem) {
            said.append("running its shutdown hooks: ").append(problem).append('\n');
        }
    }

    /** Lets go of everything, so that only what leaks holds the loader. A layer that is the module's {@code alone} goes with it. */
    String reclaim(boolean alone) {
        surroundings.restore(new Sweep(owner(alone), List.of())::belongs);
        String swept = Sweep.sweep(owner(alone), heirs(alone), settings);
        group.module = null;
        group.leave();
        loader.module = null;
        settings.clear();
        records = null;
        return swept;
    }

    /** Sweeps up after a layer that no module is on any more. */
    static String dropLayer(ModuleLoader layer) throws InterruptedException {
        layer.rest();
        Threads.end(layer);
        return Sweep.sweep(layer, List.of(), Map.of());
    }
}

package ark.jvm;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * Takes back what an ended module left in places that outlive it: the JDK's registries, threads of the base, statics of a layer that
 * others use. Each step stands alone: one that a JDK does not allow is told, and the others go on.
 */
final class Sweep {
    /** May see everything, so that no option has to open the JDK. Set from native code, which needs no permission. */
    static MethodHandles.Lookup all;

    private static final int LARGEST = 1_000;

    private final ClassLoader module;
    private final StringBuilder told = new StringBuilder();

    private Sweep(ClassLoader module) {
        this.module = module;
    }

    private interface Step {
        void run() throws Throwable;
    }

    /** Sweeps up after {@code module}, whose libraries are those of {@code layer}, if it has one. Answers with what was found. */
    static String sweep(ClassLoader module, ClassLoader layer) {
        Sweep sweep = new Sweep(module);
        sweep.step("shutdown hooks", sweep::hooks);
        sweep.step("threads", sweep::threads);
        sweep.step("JDBC drivers", sweep::drivers);
        sweep.step("MBeans", sweep::beans);
        sweep.step("security providers", sweep::providers);
        sweep.step("default uncaught handler", sweep::uncaught);
        sweep.step("log handlers", sweep::handlers);
        sweep.step("system properties", sweep::properties);
        sweep.step("resource bundles", () -> java.util.ResourceBundle.clearCache(module));
        sweep.step("bean introspection", sweep::introspection);
        sweep.step("method handles", sweep::handles);
        if (layer != null) {
            sweep.step("statics of the layer", () -> sweep.statics(layer));
        }
        return sweep.told.toString();
    }

    private void step(String what, Step step) {
        try {
            step.run();
        } catch (Throwable problem) {
            told.append(what).append(" could not be swept: ").append(problem).append('\n');
        }
    }

    private void took(String what) {
        told.append(what).append('\n');
    }

    // What belongs to the module.

    private boolean direct(Object object) {
        return object != null && (object == module || (object instanceof Class ? (Class<?>) object : object.getClass()).getClassLoader() == module);
    }

    private boolean belongs(Object object) {
        if (object instanceof Reference && object.getClass().getClassLoader() == null) {
            object = ((Reference<?>) object).get();
        }
        if (direct(object)) {
            return true;
        }
        try {
            if (object instanceof Map && ((Map<?, ?>) object).size() < LARGEST) {
                for (Map.Entry<?, ?> entry : ((Map<?, ?>) object).entrySet()) {
                    if (direct(entry.getKey()) || direct(entry.getValue())) {
                        return true;
                    }
                }
            } else if (object instanceof Collection && ((Collection<?>) object).size() < LARGEST) {
                for (Object element : (Collection<?>) object) {
                    if (direct(element)) {
                        return true;
                    }
                }
            }
        } catch (RuntimeException changing) {
            // Somebody else works on it; what stays shows in the verdict.
        }
        return false;
    }

    private static Field[] fields(Class<?> type) throws Throwable {
        MethodType signature = MethodType.methodType(Field[].class, boolean.class);
        return (Field[]) all.findVirtual(Class.class, "getDeclaredFields0", signature).invoke(type, false);
    }

    private static Field field(Class<?> type, String name) throws Throwable {
        for (Class<?> at = type; at != null; at = at.getSuperclass()) {
            for (Field field : fields(at)) {
                if (field.getName().equals(name)) {
                    return field;
                }
            }
        }
        return null;
    }

    /** The value of a field, whatever its access; null where there is no such field. */
    static Object get(Object object, String name) throws Throwable {
        Field field = field(object instanceof Class ? (Class<?>) object : object.getClass(), name);
        if (field == null) {
            return null;
        }
        MethodHandle getter = all.unreflectGetter(field);
        return Modifier.isStatic(field.getModifiers()) ? getter.invoke() : getter.invoke(object);
    }

    private static boolean set(Object object, String name, Object value) throws Throwable {
        Field field = field(object.getClass(), name);
        if (field != null) {
            all.unreflectVarHandle(field).set(object, value);
        }
        return field != null;
    }

    // Steps.

    private static Object task(Thread thread) throws Throwable {
        Object target = get(thread, "target");
        Object holder = target == null ? get(thread, "holder") : null;
        return holder == null ? target : get(holder, "task");
    }

    private void hooks() throws Throwable {
        Class<?> registry = Class.forName("java.lang.ApplicationShutdownHooks");
        Map<?, ?> hooks = (Map<?, ?>) get(registry, "hooks");
        if (hooks == null) {
            return;
        }
        List<Thread> ours = new ArrayList<>();
        synchronized (registry) {
            for (Iterator<?> all = hooks.keySet().iterator(); all.hasNext();) {
                Thread hook = (Thread) all.next();
                if (belongs(hook) || belongs(task(hook)) || hook.getContextClassLoader() == module || module == loaderOf(task(hook))) {
                    all.remove();
                    ours.add(hook);
                }
            }
        }
        for (Thread hook : ours) {
            took("shutdown hook " + hook.getName());
        }
    }

    /** The application contexts of a base that is a Spring Boot application: its shutdown hook knows them. */
    static Collection<?> contextsOfBase() throws Throwable {
        Class<?> registry = Class.forName("java.lang.ApplicationShutdownHooks");
        Map<?, ?> hooks = (Map<?, ?>) get(registry, "hooks");
        synchronized (registry) {
            for (Object hook : hooks.keySet()) {
                Object task = task((Thread) hook);
                if (task != null && task.getClass().getName().equals("org.springframework.boot.SpringApplicationShutdownHook")
                        && !(task.getClass().getClassLoader() instanceof ModuleLoader)) {
                    return new ArrayList<>((Collection<?>) get(task, "contexts"));
                }
            }
        }
        return List.of();
    }

    private static ClassLoader loaderOf(Object object) {
        return object == null ? null : object.getClass().getClassLoader();
    }

    private void threads() throws Throwable {
        ThreadGroup root = Thread.currentThread().getThreadGroup();
        while (root.getParent() != null) {
            root = root.getParent();
        }
        Thread[] threads = new Thread[root.activeCount() + 64];
        int count = root.enumerate(threads, true);
        Field access = field(Thread.class, "inheritedAccessControlContext");
        for (int at = 0; at < count; at++) {
            Thread thread = threads[at];
            if (belongs(thread) || belongs(task(thread))) {
                continue;
            }
            if (belongs(get(thread, "contextClassLoader")) && thread.getThreadGroup() != null && !(thread.getThreadGroup() instanceof Module.Group)) {
                set(thread, "contextClassLoader", ClassLoader.getSystemClassLoader());
                took("context class loader of thread " + thread.getName());
            }
            if (access != null && contextBelongs(get(thread, "inheritedAccessControlContext"))) {
                set(thread, "inheritedAccessControlContext", null);
            }
            locals(thread, "threadLocals");
            locals(thread, "inheritableThreadLocals");
        }
    }

    private boolean contextBelongs(Object context) throws Throwable {
        Object domains = context == null ? null : get(context, "context");
        if (domains instanceof Object[]) {
            for (Object domain : (Object[]) domains) {
                if (domain instanceof java.security.ProtectionDomain && ((java.security.ProtectionDomain) domain).getClassLoader() == module) {
                    return true;
                }
            }
        }
        return false;
    }

    private void locals(Thread thread, String which) throws Throwable {
        Object map = get(thread, which);
        Object table = map == null ? null : get(map, "table");
        if (table == null) {
            return;
        }
        for (Object entry : (Object[]) table) {
            if (entry == null) {
                continue;
            }
            Object key = ((Reference<?>) entry).get();
            Object value = get(entry, "value");
            if (belongs(value) || belongs(key)) {
                set(entry, "value", null);
                took("thread local of " + thread.getName());
            }
        }
    }

    private void drivers() throws Throwable {
        Collection<?> drivers = (Collection<?>) get(Class.forName("java.sql.DriverManager"), "registeredDrivers");
        for (Object info : drivers) {
            Object driver = get(info, "driver");
            if (belongs(driver)) {
                drivers.remove(info);
                took("JDBC driver " + driver.getClass().getName());
            }
        }
        for (String cleaner : new String[] {"com.mysql.cj.jdbc.AbandonedConnectionCleanupThread"}) {
            for (Class<?> loaded : classes(module)) {
                if (loaded.getName().equals(cleaner)) {
                    loaded.getMethod("checkedShutdown").invoke(null);
                    took("thread of " + cleaner);
                }
            }
        }
    }

    private void beans() throws Throwable {
        javax.management.MBeanServer server = java.lang.management.ManagementFactory.getPlatformMBeanServer();
        for (javax.management.ObjectName name : server.queryNames(null, null)) {
            if (server.getClassLoaderFor(name) == module) {
                server.unregisterMBean(name);
                took("MBean " + name);
            }
        }
    }

    private void providers() {
        for (java.security.Provider provider : java.security.Security.getProviders()) {
            if (belongs(provider)) {
                java.security.Security.removeProvider(provider.getName());
                took("security provider " + provider.getName());
            }
        }
    }

    private void uncaught() {
        if (belongs(Thread.getDefaultUncaughtExceptionHandler())) {
            Thread.setDefaultUncaughtExceptionHandler(null);
            took("default uncaught exception handler");
        }
    }

    private void handlers() {
        java.util.logging.LogManager manager = java.util.logging.LogManager.getLogManager();
        for (String name : java.util.Collections.list(manager.getLoggerNames())) {
            java.util.logging.Logger logger = manager.getLogger(name);
            if (logger == null) {
                continue;
            }
            for (java.util.logging.Handler handler : logger.getHandlers()) {
                if (belongs(handler)) {
                    logger.removeHandler(handler);
                    took("log handler of logger \"" + name + "\"");
                }
            }
        }
    }

    private void properties() {
        for (Map.Entry<Object, Object> entry : new ArrayList<>(System.getProperties().entrySet())) {
            if (belongs(entry.getKey()) || belongs(entry.getValue())) {
                System.getProperties().remove(entry.getKey());
                took("system property " + entry.getKey().getClass().getName());
            }
        }
    }

    private void introspection() throws Throwable {
        java.beans.Introspector.flushCaches();
        Class<?> info = Class.forName("com.sun.beans.introspect.ClassInfo");
        all.findStatic(info, "clear", MethodType.methodType(void.class)).invoke();
        Class<?> group = Class.forName("java.beans.ThreadGroupContext");
        Object table = get(get(group, "contexts"), "table");
        MethodHandle clear = all.findVirtual(group, "clearBeanInfoCache", MethodType.methodType(void.class));
        for (Object bucket : (Object[]) table) {
            for (Object entry = bucket; entry != null; entry = get(entry, "next")) {
                Object context = get(entry, "value");
                if (context != null) {
                    clear.invoke(context);
                }
            }
        }
    }

    /** The last class whose record methods or strings were linked stays in a cache of a handle that never goes. */
    private void handles() throws Throwable {
        for (String holder : new String[] {"java.lang.runtime.ObjectMethods", "java.lang.invoke.MethodHandleImpl", "java.lang.invoke.StringConcatFactory"}) {
            Class<?> type = Class.forName(holder);
            for (Field field : fields(type)) {
                if (Modifier.isStatic(field.getModifiers()) && field.getType() == MethodHandle.class) {
                    Object handle = all.unreflectGetter(field).invoke();
                    if (handle != null) {
                        set(handle, "asTypeCache", null);
                        set(handle, "asTypeSoftCache", null);
                    }
                }
            }
        }
    }

    private static List<Class<?>> classes(ClassLoader loader) throws Throwable {
        @SuppressWarnings("unchecked")
        List<Class<?>> classes = (List<Class<?>>) get(loader, "classes");
        return classes == null ? List.of() : new ArrayList<>(classes);
    }

    /** What static fields of a layer keep of the module. */
    private void statics(ClassLoader layer) throws Throwable {
        for (Class<?> type : classes(layer)) {
            if (type.isInterface() || !Native.initialised(type)) {
                continue;
            }
            Field[] fields;
            try {
                fields = fields(type);
            } catch (LinkageError missing) {
                continue;
            }
            for (Field field : fields) {
                if (Modifier.isStatic(field.getModifiers()) && !field.getType().isPrimitive()) {
                    Object value = all.unreflectGetter(field).invoke();
                    if (value != null) {
                        forget(value);
                    }
                }
            }
        }
        step("logging", () -> logging(layer));
        step("shutdown handlers", () -> shutdownHandlers(layer));
    }

    private void forget(Object value) throws Throwable {
        String type = value.getClass().getName();
        if (type.equals("org.springframework.util.ConcurrentReferenceHashMap") || type.equals("org.springframework.util.ConcurrentLruCache")) {
            all.unreflect(value.getClass().getMethod("clear")).invoke(value);
        } else if (type.startsWith("org.springframework.objenesis.SpringObjenesis")) {
            Object cache = get(value, "cache");
            all.unreflect(cache.getClass().getMethod("clear")).invoke(cache);
        } else if (value instanceof Throwable) {
            for (Throwable cause = (Throwable) value; cause != null; cause = cause.getCause()) {
                cause.setStackTrace(new StackTraceElement[0]);
                set(cause, "backtrace", null);
            }
        } else if (value instanceof Map) {
            try {
                ((Map<?, ?>) value).entrySet().removeIf(entry -> entry != null && (belongs(entry.getKey()) || belongs(entry.getValue())));
            } catch (RuntimeException fixed) {
                // Not a map that can be changed: what it holds is a matter of its own.
            }
        } else if (value instanceof Collection) {
            try {
                ((Collection<?>) value).removeIf(this::belongs);
            } catch (RuntimeException fixed) {
                // As above.
            }
        }
    }

    private void logging(ClassLoader layer) throws Throwable {
        Class<?> factory = loaded(layer, "org.slf4j.LoggerFactory");
        if (factory == null) {
            return;
        }
        Object context = factory.getMethod("getILoggerFactory").invoke(null);
        Object objects = get(context, "objectMap");
        if (objects instanceof Map) {
            Object environment = ((Map<?, ?>) objects).get("org.springframework.core.env.Environment");
            if (environment != null) {
                Object sources = environment.getClass().getMethod("getPropertySources").invoke(environment);
                if (settingsOf(sources) == module) {
                    ((Map<?, ?>) objects).remove("org.springframework.core.env.Environment");
                }
            }
        }
    }

    private static Object settingsOf(Object sources) throws Throwable {
        Object ours = sources.getClass().getMethod("get", String.class).invoke(sources, "ark");
        return ours == null ? null : ours.getClass().getClassLoader();
    }

    /** The module's logging system is held by a handler of the layer's copy of Boot. */
    private void shutdownHandlers(ClassLoader layer) throws Throwable {
        Class<?> application = loaded(layer, "org.springframework.boot.SpringApplication");
        Object hook = application == null ? null : get(application, "shutdownHook");
        Object handlers = hook == null ? null : get(hook, "handlers");
        Object actions = handlers == null ? null : get(handlers, "actions");
        if (!(actions instanceof Collection)) {
            return;
        }
        ((Collection<?>) actions).removeIf(action -> {
            try {
                Object runnable = get(action, "runnable");
                return holds(runnable == null ? action : runnable);
            } catch (Throwable problem) {
                return false;
            }
        });
    }

    private boolean holds(Object runnable) throws Throwable {
        for (Field field : fields(runnable.getClass())) {
            if (Modifier.isStatic(field.getModifiers()) || field.getType().isPrimitive()) {
                continue;
            }
            Object value = all.unreflectGetter(field).invoke(runnable);
            if (belongs(value) || (value != null && get(value, "classLoader") == module)) {
                return true;
            }
        }
        return false;
    }

    private static Class<?> loaded(ClassLoader loader, String name) throws Throwable {
        for (Class<?> type : classes(loader)) {
            if (type.getName().equals(name)) {
                return type;
            }
        }
        return null;
    }
}

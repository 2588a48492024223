package ark.jvm;

import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * Takes back what an ended module left in places that outlive it: the JDK's registries, threads of the base, statics of a layer that
 * others use. Each step stands alone: one that a JDK does not allow is told, and the others go on. Only what belongs to the module is
 * touched, and caches that fill again.
 */
final class Sweep {
    private static final int LARGEST = 1_000;
    private static Method declaredFields;

    /** Whose classes go: the module's loader, or that of a layer with everything on it. */
    private final ClassLoader owner;
    /** What stays, and may have come to hold something of what goes: the layer, and the base where the module takes classes from it. */
    private final List<Statics> heirs;
    private final StringBuilder told = new StringBuilder();

    Sweep(ClassLoader owner, List<Statics> heirs) {
        this.owner = owner;
        this.heirs = heirs;
    }

    private interface Step {
        void run() throws Throwable;
    }

    /** Sweeps up after {@code owner}, some of whose libraries stay in {@code heirs}. Answers with what was found. */
    static String sweep(ClassLoader owner, List<Statics> heirs, Map<String, Object> settings) {
        Sweep sweep = new Sweep(owner, heirs);
        sweep.step("shutdown hooks", sweep::hooks);
        sweep.step("threads", sweep::threads);
        sweep.step("cleaners", sweep::cleaners);
        sweep.step("JDBC drivers", sweep::drivers);
        sweep.step("MBeans", sweep::beans);
        sweep.step("security providers", sweep::providers);
        sweep.step("default uncaught handler", sweep::uncaught);
        sweep.step("log handlers", sweep::handlers);
        sweep.step("system properties", sweep::properties);
        sweep.step("URL handlers", sweep::urls);
        sweep.step("resource bundles", () -> java.util.ResourceBundle.clearCache(owner));
        sweep.step("bean introspection", sweep::introspection);
        sweep.step("method handles", sweep::handles);
        for (Statics heir : heirs) {
            sweep.step("statics of libraries that stay", () -> heir.forget(sweep));
            sweep.step("logging", () -> sweep.logging(heir.loader, settings));
            sweep.step("Log4j", () -> sweep.log4j(heir.loader, settings));
            sweep.step("shutdown handlers", () -> sweep.shutdownHandlers(heir.loader));
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

    void took(String what) {
        told.append(what).append('\n');
    }

    // What belongs to the module.

    /** Whether a loader goes: the owner, or one that is made on it. */
    boolean owns(ClassLoader loader) {
        for (; loader != null; loader = loader.getParent()) {
            if (loader == owner) {
                return true;
            }
        }
        return false;
    }

    private boolean direct(Object object) {
        if (object instanceof ClassLoader && owns((ClassLoader) object)) {
            return true;
        }
        return object != null && owns((object instanceof Class ? (Class<?>) object : object.getClass()).getClassLoader());
    }

    /** Whether an object is the module's, or is a reference, map or collection with one in it. */
    boolean belongs(Object object) {
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

    // What is private.

    /** The same field or method, which can be used from now on, whatever its access: no option has to open the JDK. */
    static <T extends AccessibleObject> T opened(T member) {
        Native.open(member);
        return member;
    }

    /** Calls a method, whatever its access. */
    static Object call(Object object, Method method, Object... arguments) throws Throwable {
        try {
            return opened(method).invoke(object, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** The fields of a class itself, or only the public ones; those too that reflection does not show. Asking links the class. */
    static Field[] fields(Class<?> type, boolean publicOnly) throws Throwable {
        if (declaredFields == null) {
            declaredFields = Class.class.getDeclaredMethod("getDeclaredFields0", boolean.class);
        }
        return (Field[]) call(type, declaredFields, publicOnly);
    }

    static Field[] fields(Class<?> type) throws Throwable {
        return fields(type, false);
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
        return field == null ? null : opened(field).get(object);
    }

    /** Sets a field, whatever its access; does nothing where there is no such field. A static one is given by its class. */
    static void set(Object object, String name, Object value) throws Throwable {
        Field field = field(object instanceof Class ? (Class<?>) object : object.getClass(), name);
        if (field != null) {
            opened(field).set(object, value);
        }
    }

    private static void clear(Object cache) throws Throwable {
        if (cache != null) {
            call(cache, cache.getClass().getMethod("clear"));
        }
    }

    static List<Class<?>> classes(ClassLoader loader) throws Throwable {
        @SuppressWarnings("unchecked")
        List<Class<?>> classes = (List<Class<?>>) get(loader, "classes");
        return classes == null ? List.of() : new ArrayList<>(classes);
    }

    private static Class<?> loaded(ClassLoader loader, String name) throws Throwable {
        for (Class<?> type : classes(loader)) {
            if (type.getName().equals(name)) {
                return type;
            }
        }
        return null;
    }

    /** What a thread was made to run; null where it runs itself. */
    static Object task(Thread thread) throws Throwable {
        Object target = get(thread, "target");
        Object holder = target == null ? get(thread, "holder") : null;
        return holder == null ? target : get(holder, "task");
    }

    // Steps.

    /** The shutdown hooks of the process; none when it ends. */
    private static List<Thread> hooksOfProcess() throws Throwable {
        Class<?> registry = Class.forName("java.lang.ApplicationShutdownHooks");
        synchronized (registry) {
            @SuppressWarnings("unchecked")
            Map<Thread, Thread> hooks = (Map<Thread, Thread>) get(registry, "hooks");
            return hooks == null ? List.of() : new ArrayList<>(hooks.keySet());
        }
    }

    /** Takes out the hooks that are the module's own: it ends now, and they are called for that. */
    List<Thread> takeHooks() throws Throwable {
        List<Thread> taken = new ArrayList<>();
        for (Thread hook : hooksOfProcess()) {
            try {
                if ((direct(hook) || direct(task(hook))) && Runtime.getRuntime().removeShutdownHook(hook)) {
                    taken.add(hook);
                }
            } catch (IllegalStateException theProcessEnds) {
                // It runs those that are left itself.
                break;
            }
        }
        return taken;
    }

    /** Hooks of a layer that stays lose only what they have of the module. */
    private void hooks() throws Throwable {
        for (Thread hook : hooksOfProcess()) {
            Object task = task(hook);
            if (belongs(hook) || belongs(task) || (heirs.isEmpty() && owns(hook.getContextClassLoader()))) {
                Runtime.getRuntime().removeShutdownHook(hook);
                took("shutdown hook " + hook.getName());
            } else {
                detach(hook);
                if (task != null) {
                    loaders(task);
                }
            }
        }
    }

    /** Puts the layer where an object of it has kept the module's loader. */
    void loaders(Object object) throws Throwable {
        ClassLoader heir = object.getClass().getClassLoader();
        if (heirs.stream().noneMatch(one -> one.loader == heir)) {
            return;
        }
        if (object instanceof Thread) {
            // One that was never started, or has ended.
            detach((Thread) object);
        }
        for (Field field : fields(object.getClass())) {
            if (!Modifier.isStatic(field.getModifiers()) && ClassLoader.class.isAssignableFrom(field.getType())) {
                Object loader = opened(field).get(object);
                if (loader != null && owns((ClassLoader) loader) && field.getType().isInstance(heir)) {
                    field.set(object, heir);
                    took("class loader in a " + object.getClass().getName());
                }
            }
        }
    }

    /** The application contexts of a base that is a Spring Boot application: its shutdown hook knows them. */
    static Collection<?> contextsOfBase() throws Throwable {
        List<Object> contexts = new ArrayList<>();
        for (Thread hook : hooksOfProcess()) {
            Object task = task(hook);
            if (task != null && task.getClass().getName().equals("org.springframework.boot.SpringApplicationShutdownHook")
                    && !(task.getClass().getClassLoader() instanceof ModuleLoader)) {
                contexts.addAll((Collection<?>) get(task, "contexts"));
            }
        }
        return contexts;
    }

    private void threads() throws Throwable {
        for (Thread thread : Threads.all()) {
            if (belongs(thread) || belongs(task(thread))) {
                continue;
            }
            detach(thread);
            locals(thread, "threadLocals");
            locals(thread, "inheritableThreadLocals");
        }
    }

    /** Takes from a thread what it has of the module by birth. */
    private void detach(Thread thread) throws Throwable {
        Object loader = get(thread, "contextClassLoader");
        if (loader instanceof ClassLoader && owns((ClassLoader) loader)) {
            set(thread, "contextClassLoader", heirs.isEmpty() ? ClassLoader.getSystemClassLoader() : heirs.get(0).loader);
            took("context class loader of thread " + thread.getName());
        }
        // Gone in JDK 24.
        if (contextBelongs(get(thread, "inheritedAccessControlContext"))) {
            set(thread, "inheritedAccessControlContext", null);
        }
        if (belongs(get(thread, "uncaughtExceptionHandler"))) {
            set(thread, "uncaughtExceptionHandler", null);
            took("uncaught exception handler of thread " + thread.getName());
        }
    }

    private boolean contextBelongs(Object context) throws Throwable {
        Object domains = context == null ? null : get(context, "context");
        if (domains instanceof Object[]) {
            for (Object domain : (Object[]) domains) {
                if (domain instanceof java.security.ProtectionDomain && owns(((java.security.ProtectionDomain) domain).getClassLoader())) {
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

    /** What was to be cleaned up when some object goes is cleaned up now. */
    private void cleaners() throws Throwable {
        for (Thread thread : Threads.all()) {
            Object task = task(thread);
            if (task == null || !task.getClass().getName().equals("jdk.internal.ref.CleanerImpl")) {
                continue;
            }
            for (Object cleanable : cleanables(task)) {
                if (belongs(get(cleanable, "action"))) {
                    ((java.lang.ref.Cleaner.Cleanable) cleanable).clean();
                    took("cleaner");
                }
            }
        }
    }

    private static List<Object> cleanables(Object cleaner) throws Throwable {
        List<Object> found = new ArrayList<>();
        Object list = get(cleaner, "phantomCleanableList");
        if (list != null) {
            synchronized (list) {
                for (Object at = get(list, "next"); at != null && at != list; at = get(at, "next")) {
                    found.add(at);
                }
            }
            return found;
        }
        list = get(cleaner, "activeList");
        if (list != null) {
            synchronized (list) {
                for (Object node = get(list, "head"); node != null; node = get(node, "next")) {
                    for (Object at : (Object[]) get(node, "arr")) {
                        if (at != null) {
                            found.add(at);
                        }
                    }
                }
            }
        }
        return found;
    }

    private void drivers() throws Throwable {
        Collection<?> drivers = (Collection<?>) get(Class.forName("java.sql.DriverManager"), "registeredDrivers");
        for (Object info : drivers) {
            Object driver = get(info, "driver");
            if (belongs(driver) || belongs(get(info, "da"))) {
                drivers.remove(info);
                took("JDBC driver " + driver.getClass().getName());
            }
        }
        Class<?> cleaner = loaded(owner, "com.mysql.cj.jdbc.AbandonedConnectionCleanupThread");
        if (cleaner != null && Native.initialised(cleaner)) {
            cleaner.getMethod("checkedShutdown").invoke(null);
            took("thread of " + cleaner.getName());
        }
    }

    private void beans() throws Throwable {
        javax.management.MBeanServer server = java.lang.management.ManagementFactory.getPlatformMBeanServer();
        for (javax.management.ObjectName name : server.queryNames(null, null)) {
            try {
                if (owns(server.getClassLoaderFor(name)) || belongs(wrapped(server, name))) {
                    server.unregisterMBean(name);
                    took("MBean " + name);
                }
            } catch (javax.management.InstanceNotFoundException gone) {
                // Somebody else was faster.
            }
        }
    }

    /** What an MBean of the JDK's or of a layer's class is made of. */
    private static Object wrapped(javax.management.MBeanServer server, javax.management.ObjectName name) throws Throwable {
        Object repository = get(get(server, "mbsInterceptor"), "repository");
        Object bean = call(repository, repository.getClass().getMethod("retrieve", javax.management.ObjectName.class), name);
        if (bean instanceof javax.management.StandardMBean) {
            return ((javax.management.StandardMBean) bean).getImplementation();
        }
        return bean instanceof javax.management.modelmbean.RequiredModelMBean ? get(bean, "managedResource") : null;
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
            if (belongs(logger.getFilter())) {
                logger.setFilter(null);
                took("log filter of logger \"" + name + "\"");
            }
            for (java.util.logging.Handler handler : logger.getHandlers()) {
                if (belongs(handler)) {
                    logger.removeHandler(handler);
                    took("log handler of logger \"" + name + "\"");
                    continue;
                }
                if (belongs(handler.getFilter())) {
                    handler.setFilter(null);
                    took("filter of a log handler");
                }
                if (belongs(handler.getFormatter())) {
                    handler.setFormatter(new java.util.logging.SimpleFormatter());
                    took("formatter of a log handler");
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

    private void urls() throws Throwable {
        if (belongs(get(java.net.URL.class, "factory"))) {
            set(java.net.URL.class, "factory", null);
            took("URL stream handler factory");
        }
        Object handlers = get(java.net.URL.class, "handlers");
        if (handlers instanceof Map && ((Map<?, ?>) handlers).values().removeIf(this::belongs)) {
            took("URL stream handlers");
        }
        if (belongs(get(java.net.URLConnection.class, "factory"))) {
            set(java.net.URLConnection.class, "factory", null);
            took("content handler factory");
        }
    }

    private void introspection() throws Throwable {
        java.beans.Introspector.flushCaches();
        call(null, Class.forName("com.sun.beans.introspect.ClassInfo").getDeclaredMethod("clear"));
        for (String holder : new String[] {"com.sun.beans.TypeResolver", "com.sun.beans.finder.MethodFinder", "com.sun.beans.finder.ConstructorFinder"}) {
            clear(get(Class.forName(holder), "CACHE"));
        }
        Class<?> group = Class.forName("java.beans.ThreadGroupContext");
        Object table = get(get(group, "contexts"), "table");
        Method clear = group.getDeclaredMethod("clearBeanInfoCache");
        for (Object bucket : (Object[]) table) {
            for (Object entry = bucket; entry != null; entry = get(entry, "next")) {
                Object context = get(entry, "value");
                if (context != null) {
                    call(context, clear);
                }
            }
        }
    }

    /** The last class whose record methods or strings were linked stays in a cache of a handle that never goes. */
    private void handles() throws Throwable {
        String[] holders = {"java.lang.runtime.ObjectMethods", "java.lang.invoke.MethodHandleImpl", "java.lang.invoke.StringConcatFactory",
            "java.lang.runtime.SwitchBootstraps", "java.lang.invoke.MethodHandles", "java.lang.invoke.BootstrapMethodInvoker"};
        for (String holder : holders) {
            Class<?> type = Class.forName(holder);
            if (!Native.initialised(type)) {
                continue;
            }
            for (Field field : fields(type)) {
                if (Modifier.isStatic(field.getModifiers()) && !field.getType().isPrimitive()) {
                    unlink(opened(field).get(null));
                }
            }
        }
    }

    private static void unlink(Object value) throws Throwable {
        if (value instanceof MethodHandle) {
            set(value, "asTypeCache", null);
            // From JDK 19 on, where one class may outlive the other.
            set(value, "asTypeSoftCache", null);
        } else if (value instanceof Object[]) {
            for (Object element : (Object[]) value) {
                unlink(element);
            }
        } else if (value instanceof Map) {
            for (Object element : ((Map<?, ?>) value).values()) {
                unlink(element);
            }
        }
    }

    /** Boot leaves the environment of the application with the logging that the layer's modules share. */
    private void logging(ClassLoader heir, Map<String, Object> settings) throws Throwable {
        Class<?> factory = loaded(heir, "org.slf4j.LoggerFactory");
        if (factory == null || !Native.initialised(factory)) {
            return;
        }
        Object context = factory.getMethod("getILoggerFactory").invoke(null);
        Object objects = get(context, "objectMap");
        Object environment = objects instanceof Map ? ((Map<?, ?>) objects).get("org.springframework.core.env.Environment") : null;
        if (isOf(environment, settings)) {
            ((Map<?, ?>) objects).remove("org.springframework.core.env.Environment");
            took("environment of the layer's logging");
        }
    }

    /** The same with Log4j 2, which has it in more places. */
    private void log4j(ClassLoader heir, Map<String, Object> settings) throws Throwable {
        Class<?> manager = loaded(heir, "org.apache.logging.log4j.LogManager");
        Object selector = manager == null || !Native.initialised(manager) ? null : inside(manager.getMethod("getFactory").invoke(null), "selector");
        if (selector == null) {
            return;
        }
        for (Object context : (Collection<?>) call(selector, selector.getClass().getMethod("getLoggerContexts"))) {
            if (inside(context, "externalMap") instanceof Map<?, ?> objects && objects.values().removeIf(object -> isOf(object, settings))) {
                took("environment of the layer's logging");
            }
            Object configuration = inside(context, "configuration");
            for (String holder : new String[] {"tempLookup", "runtimeStrSubstitutor", "configurationStrSubstitutor"}) {
                Object lookup = inside(configuration, holder);
                Object resolver = inside(lookup, "variableResolver");
                if (inside(resolver == null ? lookup : resolver, "strLookupMap") instanceof Map<?, ?> lookups) {
                    for (Object one : lookups.values()) {
                        forgetEnvironment(one, settings);
                    }
                }
            }
        }
        Class<?> system = loaded(heir, "org.springframework.boot.logging.log4j2.Log4J2LoggingSystem");
        if (system != null && Native.initialised(system)) {
            forgetEnvironment(get(system, "propertySource"), settings);
        }
    }

    private static Object inside(Object object, String name) throws Throwable {
        return object == null ? null : get(object, name);
    }

    private void forgetEnvironment(Object holder, Map<String, Object> settings) throws Throwable {
        if (isOf(inside(holder, "environment"), settings)) {
            set(holder, "environment", null);
            took("environment in a " + holder.getClass().getName());
        }
    }

    /** Whether this is the environment of the application that has these settings. */
    private static boolean isOf(Object environment, Map<String, Object> settings) {
        try {
            Object sources = environment == null ? null : environment.getClass().getMethod("getPropertySources").invoke(environment);
            Object ours = sources == null ? null : sources.getClass().getMethod("get", String.class).invoke(sources, "ark");
            return ours != null && ours.getClass().getMethod("getSource").invoke(ours) == settings;
        } catch (ReflectiveOperationException other) {
            return false;
        }
    }

    /** The module's logging system is held by a handler of the layer's copy of Boot. */
    private void shutdownHandlers(ClassLoader heir) throws Throwable {
        Class<?> application = loaded(heir, "org.springframework.boot.SpringApplication");
        Object hook = application == null || !Native.initialised(application) ? null : get(application, "shutdownHook");
        Object handlers = hook == null ? null : get(hook, "handlers");
        Object actions = handlers == null ? null : get(handlers, "actions");
        if (!(actions instanceof Collection)) {
            return;
        }
        boolean found = ((Collection<?>) actions).removeIf(action -> {
            try {
                Object runnable = get(action, "runnable");
                return holds(runnable == null ? action : runnable);
            } catch (Throwable problem) {
                return false;
            }
        });
        if (found) {
            took("shutdown handler of the layer's Spring Boot");
        }
    }

    private boolean holds(Object runnable) throws Throwable {
        for (Field field : fields(runnable.getClass())) {
            if (Modifier.isStatic(field.getModifiers()) || field.getType().isPrimitive()) {
                continue;
            }
            Object value = opened(field).get(runnable);
            if (belongs(value) || (value != null && belongs(get(value, "classLoader")))) {
                return true;
            }
        }
        return false;
    }
}

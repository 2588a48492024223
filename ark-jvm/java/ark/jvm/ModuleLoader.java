package ark.jvm;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.security.CodeSource;
import java.security.ProtectionDomain;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Loads the classes of one class path: a module's own, or those of the layer of libraries behind it. It sees the JDK, itself, and its
 * layer, and nothing of the base. What the class path holds is known to native code, by a handle that is never used again.
 */
public final class ModuleLoader extends URLClassLoader {
    static {
        registerAsParallelCapable();
    }

    private static final ClassLoader SYSTEM = ClassLoader.getSystemClassLoader();
    private static final ClassLoader PLATFORM = ClassLoader.getPlatformClassLoader();
    static final Set<String> JDK = new HashSet<>();

    static {
        for (java.lang.Module module : ModuleLayer.boot().modules()) {
            JDK.addAll(module.getPackages());
        }
    }

    private static final String FACTORIES = "META-INF/spring.factories";
    /** Has Spring find what connects a module with it. */
    static final String OUR_FACTORIES = "ark:/" + FACTORIES;

    final long classPath;
    private final ModuleLoader layer;
    private final ConcurrentHashMap<Integer, ProtectionDomain> domains = new ConcurrentHashMap<>();
    /** What the static fields of a layer may hold of modules. */
    final Statics statics = new Statics(this);
    /** The module whose own loader this is; null for a layer's. */
    volatile Module module;
    /** Who loads a layer's classes ahead of use; null when that is done. */
    volatile Ahead ahead;
    private boolean rests;

    ModuleLoader(String name, long classPath, ModuleLoader layer) {
        super(name, new URL[0], layer == null ? PLATFORM : layer);
        this.classPath = classPath;
        this.layer = layer;
    }

    /** Whether Spring is found here: what connects a module with it has to be where that is. */
    private boolean hasSpring() {
        return Native.find(classPath, "org.springframework.boot.SpringApplication") >= 0;
    }

    /** The loader of the libraries behind this; null where there are none. */
    ModuleLoader layer() {
        return layer;
    }

    /** Says who loads its classes ahead of use; false where nobody is to any more. */
    synchronized boolean take(Ahead by) {
        if (!rests) {
            ahead = by;
        }
        return !rests;
    }

    /** Nothing more is loaded ahead of use. */
    void rest() throws InterruptedException {
        Ahead before;
        synchronized (this) {
            rests = true;
            before = ahead;
        }
        if (before != null) {
            before.end();
        }
    }

    String layerName() {
        return layer == null ? null : layer.getName();
    }

    /** The module of the code that runs on this thread, by its context class loader or its thread group; null for the base's. */
    static Module current() {
        Thread thread = Thread.currentThread();
        for (ThreadGroup group = thread.getThreadGroup(); group != null; group = group.getParent()) {
            if (group instanceof Module.Group) {
                return ((Module.Group) group).module();
            }
        }
        for (ClassLoader loader = thread.getContextClassLoader(); loader != null; loader = loader.getParent()) {
            if (loader instanceof ModuleLoader && ((ModuleLoader) loader).module != null) {
                return ((ModuleLoader) loader).module;
            }
        }
        return null;
    }

    /** Locks a name only to define its class: whom it asks for others locks for itself. */
    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        if (layer == null) {
            // What modules ask their layer for is there, as a rule.
            Class<?> loaded = findLoadedClass(name);
            if (loaded != null) {
                return loaded;
            }
        }
        int dot = name.lastIndexOf('.');
        String place = dot < 0 ? "" : name.substring(0, dot);
        if (JDK.contains(place)) {
            return SYSTEM.loadClass(name);
        }
        if (place.equals("ark.jvm")) {
            return Class.forName(name, false, ModuleLoader.class.getClassLoader());
        }
        if (place.equals("ark.spring")) {
            byte[] helper = Native.helper(name);
            if (helper != null) {
                return layer != null && !hasSpring() && layer.hasSpring() ? layer.loadClass(name) : define(name, helper, -1);
            }
        }
        long found = Native.find(classPath, name);
        if (found == Native.OF_BASE) {
            return Base.loader().loadClass(name);
        }
        if (found >= 0) {
            Ahead before = ahead;
            if (before != null) {
                before.asked(name);
            }
            describe(place, (int) (found >> 32));
            return define(name, null, found);
        }
        if (layer == null) {
            throw new ClassNotFoundException(name);
        }
        try {
            return layer.loadClass(name);
        } catch (ClassNotFoundException missing) {
            // Or one that was made as the module ran: no file has it.
            Class<?> made = findLoadedClass(name);
            if (made != null) {
                return made;
            }
            throw missing;
        }
    }

    /** The class that {@code bytes} are, or, where there are none, what was found. */
    private Class<?> define(String name, byte[] bytes, long found) {
        synchronized (getClassLoadingLock(name)) {
            Class<?> loaded = findLoadedClass(name);
            if (loaded != null) {
                return loaded;
            }
            if (bytes != null) {
                return defineClass(name, bytes, 0, bytes.length);
            }
            return Native.define(this, classPath, (int) found, name, domain((int) (found >> 32)));
        }
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
        return loadClass(name, false);
    }

    private void describe(String place, int jar) {
        if (place.isEmpty() || getDefinedPackage(place) != null) {
            return;
        }
        String[] is = Native.describe(classPath, jar, place);
        try {
            definePackage(place, is[0], is[1], is[2], is[3], is[4], is[5], null);
        } catch (IllegalArgumentException another) {
            // Another thread was faster.
        }
    }

    private ProtectionDomain domain(int jar) {
        ProtectionDomain known = domains.get(jar);
        if (known != null) {
            return known;
        }
        CodeSource source = new CodeSource(url(Native.location(classPath, jar, false), classPath), (Certificate[]) null);
        ProtectionDomain made = new ProtectionDomain(source, null, this, null);
        ProtectionDomain another = domains.putIfAbsent(jar, made);
        return another == null ? made : another;
    }

    private static URL url(String text, long classPath) {
        try {
            return text == null ? null : new URL(null, text, text.startsWith("jar:") ? new ModuleUrls(classPath) : null);
        } catch (MalformedURLException impossible) {
            return null;
        }
    }

    /** The places of this loader's own classes and jars. */
    @Override
    public URL[] getURLs() {
        List<URL> urls = new ArrayList<>();
        for (int jar = 0; ; jar++) {
            String location = Native.location(classPath, jar, true);
            if (location == null) {
                return urls.toArray(new URL[0]);
            }
            urls.add(url(location, classPath));
        }
    }

    @Override
    public URL findResource(String path) {
        return url(Native.url(classPath, path, 0), classPath);
    }

    @Override
    public Enumeration<URL> findResources(String path) throws IOException {
        List<URL> found = new ArrayList<>();
        URL next;
        while ((next = url(Native.url(classPath, path, found.size()), classPath)) != null) {
            found.add(next);
        }
        if (module != null && path.equals(FACTORIES)) {
            found.add(new URL(null, OUR_FACTORIES, new ModuleUrls(classPath)));
        }
        return Collections.enumeration(found);
    }

    static byte[] ourFactories() {
        String lines = "org.springframework.context.ApplicationContextInitializer=ark.spring.Initializer\n"
                + "org.springframework.context.ApplicationListener=ark.spring.OwnParts\n"
                + "org.springframework.boot.env.EnvironmentPostProcessor=ark.spring.Settings\n"
                + "org.springframework.boot.EnvironmentPostProcessor=ark.spring.Settings4\n";
        return lines.getBytes(StandardCharsets.ISO_8859_1);
    }

    @Override
    public URL getResource(String path) {
        URL own = findResource(path);
        return own != null ? own : getParent().getResource(path);
    }

    @Override
    public Enumeration<URL> getResources(String path) throws IOException {
        List<URL> all = Collections.list(findResources(path));
        if (layer != null) {
            all.addAll(Collections.list(layer.findResources(path)));
        }
        all.addAll(Collections.list(PLATFORM.getResources(path)));
        return Collections.enumeration(all);
    }

    @Override
    public InputStream getResourceAsStream(String path) {
        byte[] bytes = Native.bytes(classPath, path, 0);
        return bytes != null ? new ByteArrayInputStream(bytes) : getParent().getResourceAsStream(path);
    }

    /** Nothing was opened: the archives belong to native code, and go when this loader is collected. */
    @Override
    public void close() {
    }

    @Override
    protected String findLibrary(String name) {
        return Native.library(classPath, System.mapLibraryName(name));
    }
}

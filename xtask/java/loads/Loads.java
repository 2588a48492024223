package loads;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Loads every class of a list through its own context loader and through a {@link URLClassLoader} over the same jars, in the same JVM,
 * and prints how long each took: {@code <loader> <nanoseconds> <nanoseconds of this thread's CPU>}.
 */
public final class Loads {
    private Loads() {
    }

    /**
     * {@code list JARS FILE} writes the classes of the folder JARS that load at all into FILE: libraries have classes for others that
     * are not there. {@code module|url JARS FILE} loads them in both ways, beginning with the one named.
     */
    public static void main(String[] arguments) throws Exception {
        URL[] jars = jars(arguments[1]);
        Path file = Path.of(arguments[2]);
        if (arguments[0].equals("list")) {
            Files.write(file, loadable(jars));
            return;
        }
        List<String> classes = Files.readAllLines(file);
        for (boolean module : new boolean[] {arguments[0].equals("module"), !arguments[0].equals("module")}) {
            System.gc();
            if (module) {
                load("module", classes, Thread.currentThread().getContextClassLoader());
            } else {
                // Opening the jars is a part of what it does.
                try (URLClassLoader loader = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader())) {
                    load("url", classes, loader);
                }
            }
        }
    }

    private static void load(String name, List<String> classes, ClassLoader loader) throws ClassNotFoundException {
        var threads = ManagementFactory.getThreadMXBean();
        ClassLoader jdk = Object.class.getClassLoader();
        int foreign = 0;
        long cpu = threads.getCurrentThreadCpuTime();
        long began = System.nanoTime();
        for (String type : classes) {
            ClassLoader by = Class.forName(type, false, loader).getClassLoader();
            // The layer of a module is the parent of its loader.
            if (by != loader && by != loader.getParent() || by == jdk) {
                foreign++;
            }
        }
        long took = System.nanoTime() - began;
        System.out.println(name + " " + took + " " + (threads.getCurrentThreadCpuTime() - cpu) + " " + (classes.size() - foreign));
    }

    private static List<String> loadable(URL[] jars) throws IOException {
        List<String> classes = new ArrayList<>();
        try (URLClassLoader loader = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader())) {
            for (URL jar : jars) {
                try (JarFile opened = new JarFile(jar.getPath())) {
                    for (Enumeration<JarEntry> entries = opened.entries(); entries.hasMoreElements(); ) {
                        String name = entries.nextElement().getName();
                        if (!name.endsWith(".class") || name.startsWith("META-INF/") || name.endsWith("module-info.class")) {
                            continue;
                        }
                        String type = name.substring(0, name.length() - ".class".length()).replace('/', '.');
                        try {
                            if (Class.forName(type, false, loader).getClassLoader() == loader) {
                                classes.add(type);
                            }
                        } catch (ClassNotFoundException | LinkageError absent) {
                            // It needs a library that is not there.
                        }
                    }
                }
            }
        }
        return classes;
    }

    private static URL[] jars(String folder) throws IOException {
        File[] files = new File(folder).listFiles((parent, name) -> name.endsWith(".jar"));
        Arrays.sort(files);
        URL[] jars = new URL[files.length];
        for (int at = 0; at < files.length; at++) {
            jars[at] = files[at].toURI().toURL();
        }
        return jars;
    }
}

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
import java.util.List;

/**
 * Loads every class of a list through its own context loader and through a {@link URLClassLoader} over the same jars, in the same JVM,
 * and prints how long each took: {@code <loader> <nanoseconds> <nanoseconds of this thread's CPU>}.
 */
public final class Loads {
    private Loads() {
    }

    /**
     * {@code list JARS FILE} leaves of the classes in FILE those that load from the jars in the folder JARS. {@code module|url JARS FILE} loads them in both ways, beginning with the one named.
     */
    public static void main(String[] arguments) throws Exception {
        URL[] jars = jars(arguments[1]);
        Path file = Path.of(arguments[2]);
        if (arguments[0].equals("list")) {
            Files.write(file, loadable(jars, Files.readAllLines(file)));
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

    private static List<String> loadable(URL[] jars, List<String> wanted) throws IOException {
        List<String> classes = new ArrayList<>();
        try (URLClassLoader loader = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader())) {
            for (String type : wanted) {
                try {
                    if (Class.forName(type, false, loader).getClassLoader() == loader && !classes.contains(type)) {
                        classes.add(type);
                    }
                } catch (ClassNotFoundException | LinkageError absent) {
                    // One that was made while the application ran.
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

package loads;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Loads every class of a list, and prints how long that took: {@code <loader> <nanoseconds> <nanoseconds of all processors> <classes>}.
 */
public final class Loads {
    private Loads() {
    }

    /**
     * {@code list JARS FILE} leaves of the classes in FILE those that load from the jars in the folder JARS. {@code url JARS FILE} loads them through a
     * {@link URLClassLoader} over these jars, {@code module JARS FILE} through the loaders of this application, which has the same.
     */
    public static void main(String[] arguments) throws Exception {
        long began = System.nanoTime();
        long cpu = cpu();
        URL[] jars = jars(arguments[1]);
        Path file = Path.of(arguments[2]);
        if (arguments[0].equals("list")) {
            Files.write(file, loadable(jars, Files.readAllLines(file)));
            return;
        }
        List<String> classes = Files.readAllLines(file);
        if (arguments[0].equals("module")) {
            load("module", began, cpu, classes, Thread.currentThread().getContextClassLoader());
            return;
        }
        // Opening the jars is a part of what it does.
        try (URLClassLoader loader = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader())) {
            load("url", began, cpu, classes, loader);
        }
    }

    /** What counts is the whole of {@code main}: while it reads its list, classes may be loaded ahead already. */
    private static void load(String name, long began, long cpu, List<String> classes, ClassLoader loader) throws ClassNotFoundException {
        ClassLoader jdk = Object.class.getClassLoader();
        int foreign = 0;
        for (String type : classes) {
            ClassLoader by = Class.forName(type, false, loader).getClassLoader();
            // The layer of a module is the parent of its loader.
            if (by != loader && by != loader.getParent() || by == jdk) {
                foreign++;
            }
        }
        long took = System.nanoTime() - began;
        System.out.println(name + " " + took + " " + (cpu() - cpu) + " " + (classes.size() - foreign));
    }

    /** What all threads of this process have used: those that compile and collect, and those that load ahead of use, too. */
    private static long cpu() {
        return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO).toNanos();
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

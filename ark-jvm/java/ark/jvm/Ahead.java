package ark.jvm;

import java.util.HashMap;
import java.util.Map;

/**
 * Loads and links the classes of a layer that its first module is going to ask for, on a thread of its own. Nothing is initialised: that is the
 * module's to do, and no code of it runs here. What cannot be loaded is left to whoever asks for it, who then hears why.
 */
final class Ahead implements Runnable {
    /** How far in front of who asks: as soon as both are at the same classes, they only wait for each other. */
    private static final int LEAP = 64;
    private static final long PATIENCE_MILLIS = 2_000;

    private final ModuleLoader layer;
    private final Thread thread;
    /** Answered when it is over. */
    private final long question;
    /** Where it begins, and how far in front of who asks it stays. */
    private final int leap;
    /** In the order in which they were asked for before, each behind {@code +} where it was linked then, behind {@code -} otherwise. */
    private String[] classes;
    /** Where each of them stands; null until that is known. */
    private volatile Map<String, Integer> places;
    /** The place of the class that somebody else has just had to load. */
    private volatile int asked;
    private volatile boolean ended;

    private Ahead(ModuleLoader layer, String[] classes, boolean alone, long question) {
        this.layer = layer;
        this.question = question;
        this.leap = alone ? 0 : LEAP;
        this.classes = classes;
        this.thread = new Thread(Module.Group.root(), this, "arklet ahead");
        thread.setContextClassLoader(ClassLoader.getSystemClassLoader());
        thread.setDaemon(true);
    }

    /**
     * Begins, where there is a second processor to do it on, or no module to be held up, for it is {@code alone} with the layer; and where the
     * layer is not on its way out. Where {@code classes} is empty, it goes by what the base has loaded of the same names. The question is
     * answered when that is over.
     */
    static void begin(ModuleLoader layer, String[] classes, boolean alone, long question) {
        if (alone || Runtime.getRuntime().availableProcessors() > 1) {
            Ahead ahead = new Ahead(layer, classes, alone, question);
            if (layer.take(ahead)) {
                ahead.thread.start();
                return;
            }
        }
        Native.answered(question, "");
    }

    /** The classes that a layer has, in the order in which they were loaded. */
    static Object[] loaded(ModuleLoader layer) throws Throwable {
        return Sweep.classes(layer).toArray();
    }

    /** The class {@code name} was not there when it was asked for. */
    void asked(String name) {
        Map<String, Integer> known = places;
        if (known != null && Thread.currentThread() != thread) {
            Integer place = known.get(name);
            if (place != null) {
                asked = place;
            }
        }
    }

    /** Ends it, and waits for that: it holds the layer. */
    void end() throws InterruptedException {
        ended = true;
        thread.interrupt();
        thread.join(PATIENCE_MILLIS);
    }

    /** What there is to load, once that can be told. */
    private void find() throws Throwable {
        if (classes.length == 0) {
            Base.await();
            classes = Native.known(layer.classPath, Sweep.classes(Base.loader()).toArray());
        }
        Map<String, Integer> found = new HashMap<>(classes.length * 2);
        for (int at = 0; at < classes.length; at++) {
            found.put(classes[at].substring(1), at);
        }
        places = found;
    }

    @Override
    public void run() {
        try {
            find();
            for (int at = leap; at < classes.length && !ended; at++) {
                int other = asked;
                if (Math.abs(at - other) < leap / 2) {
                    at = other + leap;
                } else {
                    load(classes[at]);
                }
            }
        } catch (Throwable problem) {
            // It is over, not this JDK's way, or there is no memory: then classes are loaded when they are asked for.
        } finally {
            layer.ahead = null;
            Native.answered(question, "");
        }
    }

    private void load(String line) throws Throwable {
        try {
            Class<?> type = layer.loadClass(line.substring(1));
            if (line.charAt(0) == '+' && type.getClassLoader() == layer) {
                // Looking for its public fields links a class, and loads nothing but their types, which are constants as a rule.
                Sweep.fields(type, true);
            }
        } catch (ClassNotFoundException | LinkageError missing) {
            // An optional dependency that is not there: the JVM remembers nothing of it.
        }
    }
}

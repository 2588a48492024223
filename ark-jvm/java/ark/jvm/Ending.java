package ark.jvm;

/** Hears that the process begins to end: one of its shutdown hooks, beside those of the application and of modules. */
final class Ending extends Thread {
    private Ending() {
        super(Module.Group.root(), "arklet end");
    }

    /** Begins to listen. */
    static void listen() {
        Runtime.getRuntime().addShutdownHook(new Ending());
    }

    /** Holds nothing up: native code is told, and that is all. */
    @Override
    public void run() {
        Native.ending();
    }
}

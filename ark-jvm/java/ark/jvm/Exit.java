package ark.jvm;

/** Stands where a module's classes call for the end of the process: that is not theirs to end. */
public final class Exit {
    private Exit() {
    }

    /** In place of {@code System.exit}. */
    public static void exit(int status) {
        refuse(status);
    }

    /** In place of {@code Runtime.exit} and {@code Runtime.halt}. */
    public static void exit(Runtime runtime, int status) {
        refuse(status);
    }

    private static void refuse(int status) {
        Module module = ModuleLoader.current();
        if (module != null) {
            module.exits(status);
        }
        throw new SecurityException("a module cannot end the process (exit status " + status + "): it is the base's");
    }
}

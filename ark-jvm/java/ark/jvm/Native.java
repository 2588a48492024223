package ark.jvm;

import java.lang.reflect.AccessibleObject;
import java.security.ProtectionDomain;

/** What native code does. A handle that is no longer known is answered as an empty class path. */
final class Native {
    static final long OF_BASE = -2;

    private Native() {
    }

    /**
     * Where the class {@code name} is: the number of its jar above, that of its entry in the lower 32 bits; {@link #OF_BASE} where the
     * base is to be asked for it, otherwise negative where it is not.
     */
    static native long find(long classPath, String name);

    /** Defines the class {@code name}, found at {@code entry}. */
    static native Class<?> define(ModuleLoader loader, long classPath, int entry, String name, ProtectionDomain domain);

    /** Those of {@code classes} that this class path has too, as lines of a record: {@code +} or {@code -}, for linked or not, and the name. */
    static native String[] known(long classPath, Object[] classes);

    /** The bytes of the {@code nth} resource at {@code path}; null where there are fewer. */
    static native byte[] bytes(long classPath, String path, int nth);

    /** The bytes of the resource with this URL; null where there is none. */
    static native byte[] bytesAt(long classPath, String url);

    /** The URL of the {@code nth} resource at {@code path}; null where there are fewer. */
    static native String url(long classPath, String path, int nth);

    /** The URL of a jar; null beyond the last. With {@code real} it is a file from now on, also for one inside of the package. */
    static native String location(long classPath, int jar, boolean real);

    /** What the manifest of {@code jar} says of a package: title, version and vendor of specification and implementation. */
    static native String[] describe(long classPath, int jar, String place);

    /** A file with the native library {@code file}, this loader's alone; null where there is none. */
    static native String library(long classPath, String file);

    /** The bytes of a class of {@code ark.spring} or {@code ark.tomcat}; null where there is none. */
    static native byte[] helper(String name);

    /** Lets reflection use a field or method, whatever its access. */
    static native void open(AccessibleObject member);

    /** Whether a class has been initialised: only then do its static fields have values. */
    static native boolean initialised(Class<?> type);

    /** The loader of the class {@code name} that is neither a module's nor a layer's; null where there is none, or it is the JDK's. */
    static native ClassLoader loaderOf(String name);

    /** The answer to a question that native code asked. */
    static native void answered(long question, String answer);

    /**
     * The module is up, its web server on {@code port}; 0 where it has none. Where that is the base's, that knows it by {@code key};
     * {@code apart} is why it is not, where that was seen late. Both may be null.
     */
    static native void started(long module, int port, String key, String apart);

    /** The module did not come up. */
    static native void failed(long module, String problem);

    /** A piece of what the module writes to a stream. */
    static native void output(long module, boolean error, byte[] bytes, int from, int length);

    /** The module was stopped; {@code said} tells what runs on all the same, and what else went wrong. */
    static native void ended(long module, String said);

    /** The process has begun to end: its shutdown hooks run. */
    static native void ending();

    /** The module tried to end the base. */
    static native void exitRefused(long module, int status);
}

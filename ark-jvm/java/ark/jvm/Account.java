package ark.jvm;

import java.lang.management.ClassLoadingMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.lang.management.MemoryUsage;
import javax.management.JMException;
import javax.management.ObjectName;

/** What the agent asks of the JVM as a whole, and of the base. Each answer is a text that native code takes apart. */
final class Account {
    private Account() {
    }

    /** How full a pool of memory is; nothing in use, without a bound, where there is none of this name. */
    private static MemoryUsage pool(String name) {
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getName().equals(name)) {
                return pool.getUsage();
            }
        }
        return new MemoryUsage(0, 0, 0, -1);
    }

    /** What the VM uses now: loaded classes, bytes of metaspace, bytes of heap. */
    static String figures() {
        Runtime runtime = Runtime.getRuntime();
        return ManagementFactory.getClassLoadingMXBean().getLoadedClassCount() + " " + pool("Metaspace").getUsed() + " "
                + (runtime.totalMemory() - runtime.freeMemory());
    }

    /**
     * Used and most bytes of metaspace, class space and heap, -1 for no bound: of the heap, what the last collections left. A seventh
     * number: bytes of heap in use now.
     */
    static String spaces() {
        long heap = 0;
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            MemoryUsage left = pool.getCollectionUsage();
            heap += pool.getType() == MemoryType.HEAP && left != null ? left.getUsed() : 0;
        }
        MemoryUsage metaspace = pool("Metaspace");
        MemoryUsage classes = pool("Compressed Class Space");
        Runtime runtime = Runtime.getRuntime();
        return metaspace.getUsed() + " " + metaspace.getMax() + " " + classes.getUsed() + " " + classes.getMax() + " " + heap + " "
                + runtime.maxMemory() + " " + (runtime.totalMemory() - runtime.freeMemory());
    }

    /** What the JVM says of itself, a line each: {@code t}ext, {@code i}nteger or {@code n}umber, name, value, separated by tabs. */
    static String signs() {
        MemoryMXBean memory = ManagementFactory.getMemoryMXBean();
        ClassLoadingMXBean classes = ManagementFactory.getClassLoadingMXBean();
        StringBuilder signs = new StringBuilder();
        signs.append("t\tjava version\t").append(System.getProperty("java.version")).append('\n');
        signs.append("t\tjava home\t").append(System.getProperty("java.home")).append('\n');
        Runtime runtime = Runtime.getRuntime();
        mega(signs, "total memory(M)", runtime.totalMemory());
        mega(signs, "max memory(M)", runtime.maxMemory());
        mega(signs, "free memory(M)", runtime.freeMemory());
        String[] kinds = {"heap", "non heap"};
        MemoryUsage[] usages = {memory.getHeapMemoryUsage(), memory.getNonHeapMemoryUsage()};
        for (int at = 0; at < kinds.length; at++) {
            mega(signs, "init " + kinds[at] + " memory(M)", usages[at].getInit());
            mega(signs, "used " + kinds[at] + " memory(M)", usages[at].getUsed());
            mega(signs, "committed " + kinds[at] + " memory(M)", usages[at].getCommitted());
            mega(signs, "max " + kinds[at] + " memory(M)", usages[at].getMax());
        }
        whole(signs, "loaded class count", classes.getLoadedClassCount());
        whole(signs, "unload class count", classes.getUnloadedClassCount());
        whole(signs, "total class count", classes.getTotalLoadedClassCount());
        MemoryUsage metaspace = pool("Metaspace");
        whole(signs, "java used metaspace", metaspace.getUsed());
        whole(signs, "java committed metaspace", metaspace.getCommitted());
        whole(signs, "java max metaspace", metaspace.getMax());
        return signs.toString();
    }

    private static void mega(StringBuilder signs, String name, long bytes) {
        signs.append("n\t").append(name).append('\t').append(bytes / 1048576.0).append('\n');
    }

    private static void whole(StringBuilder signs, String name, long value) {
        signs.append("i\t").append(name).append('\t').append(value).append('\n');
    }

    /** The JVM's own account of the metaspace, loader by loader; null where it gives none. */
    static String metaspace() {
        try {
            ObjectName commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
            Object[] arguments = {new String[] {"show-loaders"}};
            return (String) ManagementFactory.getPlatformMBeanServer()
                    .invoke(commands, "vmMetaspace", arguments, new String[] {String[].class.getName()});
        } catch (JMException | RuntimeException absent) {
            return null;
        }
    }

    /** The packages that come from the JDK, always: a line each. */
    static String packagesOfJdk() {
        return String.join("\n", ModuleLoader.JDK);
    }
}

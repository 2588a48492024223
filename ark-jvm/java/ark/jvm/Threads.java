package ark.jvm;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.ThreadPoolExecutor;

/** The threads that a module started: asked to end, and named where they do not. */
final class Threads {
    private final Module.Group group;
    private final ModuleLoader module;
    private final ModuleLoader heir;
    private final Sweep whose;

    /** Those of {@code group}; what is of the layer {@code heir} stays with it. */
    Threads(Module.Group group, ModuleLoader module, ClassLoader owner, ModuleLoader heir) {
        this.group = group;
        this.module = module;
        this.heir = heir;
        this.whose = new Sweep(owner, heir == null ? List.of() : List.of(heir.statics));
    }

    /** All threads of the process, those of the JDK too. */
    static List<Thread> all() {
        ThreadGroup root = Thread.currentThread().getThreadGroup();
        while (root.getParent() != null) {
            root = root.getParent();
        }
        return of(root);
    }

    private static List<Thread> of(ThreadGroup group) {
        Thread[] threads = new Thread[group.activeCount() + 64];
        int count = group.enumerate(threads, true);
        return Arrays.asList(threads).subList(0, count);
    }

    /** Ends timers and executors, and interrupts what else runs. */
    void end() {
        for (Thread thread : of(group)) {
            if (!isOfOthers(thread)) {
                end(thread);
            }
        }
    }

    /** Ends what libraries have started that nobody uses any more. */
    static void end(ModuleLoader layer) {
        Sweep whose = new Sweep(layer, List.of());
        for (Thread thread : all()) {
            try {
                if (isOf(layer, thread) || whose.owns(thread.getContextClassLoader())) {
                    end(thread);
                }
            } catch (Throwable changed) {
                // Not this JDK's way: it runs on, and holds the layer.
            }
        }
    }

    private static void end(Thread thread) {
        try {
            Object task = Sweep.task(thread);
            if (thread.getClass().getName().equals("java.util.TimerThread")) {
                cancel(thread);
            } else if (thread instanceof ForkJoinWorkerThread) {
                ((ForkJoinWorkerThread) thread).getPool().shutdownNow();
            } else if (task != null && task.getClass().getName().equals("java.util.concurrent.ThreadPoolExecutor$Worker")) {
                ((ThreadPoolExecutor) Sweep.get(task, "this$0")).shutdownNow();
            }
        } catch (Throwable changed) {
            // Not this JDK's way; it is interrupted like any other.
        }
        thread.interrupt();
    }

    /** As {@link java.util.Timer#cancel()}, which nobody may be left to call. */
    private static void cancel(Thread timer) throws Throwable {
        Object queue = Sweep.get(timer, "queue");
        synchronized (queue) {
            Sweep.set(timer, "newTasksMayBeScheduled", false);
            Sweep.call(queue, queue.getClass().getDeclaredMethod("clear"));
            queue.notifyAll();
        }
    }

    /** Waits until they have ended. Answers with those that run on, a line each with their stacks. */
    String await(long endNanos) throws InterruptedException {
        StringBuilder said = new StringBuilder();
        for (Thread thread : of(group)) {
            if (isOfOthers(thread)) {
                continue;
            }
            long left = (endNanos - System.nanoTime()) / 1_000_000;
            thread.join(Math.max(1, Math.min(left, 500)));
            StackTraceElement[] stack = thread.getStackTrace();
            if (!thread.isAlive() || !runs(thread, stack)) {
                continue;
            }
            said.append("thread ").append(thread.getName().replace('\n', ' '));
            for (StackTraceElement frame : stack) {
                said.append(" at ").append(frame);
            }
            said.append('\n');
        }
        return said.toString();
    }

    /** Whether code that goes with the module is on the thread. */
    private boolean runs(Thread thread, StackTraceElement[] stack) {
        try {
            if (whose.belongs(thread) || whose.belongs(Sweep.task(thread))) {
                return true;
            }
        } catch (Throwable changed) {
            // Not this JDK's way; the stack tells as well.
        }
        for (StackTraceElement frame : stack) {
            String loader = frame.getClassLoaderName();
            if (loader != null && (loader.equals(module.getName()) || (heir == null && loader.equals(module.layerName())))) {
                return true;
            }
        }
        return false;
    }

    /**
     * Whether a thread only happens to have been started from the module: one of the common pool, or of a library that others use, and
     * does nothing for the module now.
     */
    private boolean isOfOthers(Thread thread) {
        if (thread instanceof ForkJoinWorkerThread && ((ForkJoinWorkerThread) thread).getPool() == ForkJoinPool.commonPool()) {
            return true;
        }
        try {
            return heir != null && isOf(heir, thread) && !runs(thread, thread.getStackTrace());
        } catch (Throwable changed) {
            return false;
        }
    }

    private static boolean isOf(ModuleLoader layer, Thread thread) throws Throwable {
        Object task = Sweep.task(thread);
        if (isOf(layer, (Object) thread) || isOf(layer, task)) {
            return true;
        }
        if (task != null && task.getClass().getName().equals("java.util.concurrent.ThreadPoolExecutor$Worker")) {
            ThreadPoolExecutor executor = (ThreadPoolExecutor) Sweep.get(task, "this$0");
            return isOf(layer, executor) || isOf(layer, executor.getThreadFactory());
        }
        if (thread.getClass().getName().equals("java.util.TimerThread")) {
            Object queue = Sweep.get(thread, "queue");
            synchronized (queue) {
                for (Object scheduled : (Object[]) Sweep.get(queue, "queue")) {
                    if (isOf(layer, scheduled)) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    private static boolean isOf(ModuleLoader layer, Object object) {
        return object != null && object.getClass().getClassLoader() == layer;
    }
}

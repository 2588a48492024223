package ark.jvm;

import java.lang.invoke.MethodHandle;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The static fields of a loader's classes that may come to hold something of a module above it: caches, registries, exceptions made once. They are
 * looked for once; later looks see only to classes that were loaded since.
 */
final class Statics {
    private static final int DEPTH = 3;
    private static final int LARGEST = 20_000;

    final ClassLoader loader;
    private int seen;
    private final List<Class<?>> waiting = new ArrayList<>();
    /** Values of fields that do not change. */
    private final List<Object> values = new ArrayList<>();
    private final List<Changing> changing = new ArrayList<>();
    private final Set<Object> known = Collections.newSetFromMap(new IdentityHashMap<>());

    /** A field whose value may be another each time; a static one where there is no object. */
    private static final class Changing {
        private final Field field;
        private final Object object;

        Changing(Field field, Object object) {
            this.field = field;
            this.object = object;
        }
    }

    Statics(ClassLoader loader) {
        this.loader = loader;
    }

    /** Takes from them what belongs to the module that is swept up after. */
    synchronized void forget(Sweep sweep) throws Throwable {
        look();
        for (Object value : values) {
            forget(sweep, value);
        }
        for (Changing one : changing) {
            Object value = one.field.get(one.object);
            if (value != null) {
                forget(sweep, value);
                inside(sweep, value);
            }
        }
    }

    private void look() throws Throwable {
        List<Class<?>> classes = Sweep.classes(loader);
        waiting.addAll(classes.subList(Math.min(seen, classes.size()), classes.size()));
        seen = classes.size();
        List<Class<?>> initialised = new ArrayList<>();
        // Their fields have no value before, and looking at them would give them one.
        waiting.removeIf(type -> Native.initialised(type) && initialised.add(type));
        for (Class<?> type : initialised) {
            Field[] fields;
            try {
                fields = Sweep.fields(type);
            } catch (LinkageError missing) {
                continue;
            }
            for (Field field : fields) {
                if (Modifier.isStatic(field.getModifiers()) && maySuit(field.getType())) {
                    Sweep.opened(field);
                    if (!Modifier.isFinal(field.getModifiers())) {
                        changing.add(new Changing(field, null));
                        continue;
                    }
                    Object value = field.get(null);
                    if (value != null && isHolder(value)) {
                        values.add(value);
                    } else if (value != null && value.getClass().getClassLoader() == loader) {
                        insideOnce(value, DEPTH);
                    }
                }
            }
        }
    }

    private static boolean maySuit(Class<?> type) {
        return !type.isPrimitive() && !type.isArray() && type != String.class && type != Class.class && !Number.class.isAssignableFrom(type)
                && !type.isEnum() && !MethodHandle.class.isAssignableFrom(type);
    }

    private static boolean isHolder(Object value) {
        return value instanceof Map || value instanceof Collection || value instanceof Throwable
                || value.getClass().getName().equals("org.springframework.util.ConcurrentLruCache");
    }

    /** What an object of these classes that never changes keeps, in itself and in such objects behind it. */
    private void insideOnce(Object object, int depth) throws Throwable {
        if (!known.add(object) || known.size() > LARGEST) {
            return;
        }
        values.add(object);
        for (Class<?> type = object.getClass(); type != null && type.getClassLoader() == loader; type = type.getSuperclass()) {
            for (Field field : Sweep.fields(type)) {
                if (Modifier.isStatic(field.getModifiers()) || !maySuit(field.getType())) {
                    continue;
                }
                Object value = Sweep.opened(field).get(object);
                if (!Modifier.isFinal(field.getModifiers()) && mayHold(field.getType())) {
                    changing.add(new Changing(field, object));
                } else if (value != null && isHolder(value)) {
                    values.add(value);
                } else if (value != null && depth > 0 && value.getClass().getClassLoader() == loader) {
                    insideOnce(value, depth - 1);
                }
            }
        }
    }

    private static boolean mayHold(Class<?> type) {
        return Map.class.isAssignableFrom(type) || Collection.class.isAssignableFrom(type) || Throwable.class.isAssignableFrom(type)
                || type == Object.class;
    }

    private void inside(Sweep sweep, Object object) throws Throwable {
        for (Class<?> type = object.getClass(); type != null && type.getClassLoader() == loader; type = type.getSuperclass()) {
            for (Field field : Sweep.fields(type)) {
                if (!Modifier.isStatic(field.getModifiers()) && maySuit(field.getType())) {
                    Object value = Sweep.opened(field).get(object);
                    if (value != null) {
                        forget(sweep, value);
                    }
                }
            }
        }
    }

    private void forget(Sweep sweep, Object value) throws Throwable {
        String type = value.getClass().getName();
        if (type.equals("org.springframework.util.ConcurrentReferenceHashMap") || type.equals("org.springframework.util.ConcurrentLruCache")) {
            // They are caches, and hold by more than keys and values.
            Sweep.call(value, value.getClass().getMethod("clear"));
        } else if (type.equals("org.springframework.boot.context.properties.bind.BindConverter")) {
            // Made anew when it is missed.
            Sweep.set(value.getClass(), "sharedInstance", null);
        } else if (value instanceof Throwable) {
            for (Throwable cause = (Throwable) value; cause != null; cause = cause.getCause()) {
                // The frames hold the classes that ran when it was made. Setting the stack trace does not let go of them.
                cause.setStackTrace(new StackTraceElement[0]);
                Sweep.set(cause, "backtrace", null);
            }
        } else if (value instanceof Map) {
            try {
                if (((Map<?, ?>) value).entrySet().removeIf(entry -> entry != null && (sweep.belongs(entry.getKey()) || sweep.belongs(entry.getValue())))) {
                    sweep.took("entries of a static map");
                }
            } catch (RuntimeException fixed) {
                // Not a map that can be changed: what it holds is a matter of its own.
            }
        } else if (value instanceof Collection) {
            try {
                if (((Collection<?>) value).removeIf(sweep::belongs)) {
                    sweep.took("elements of a static collection");
                }
            } catch (RuntimeException fixed) {
                // As above.
            }
        } else {
            sweep.loaders(value);
        }
    }
}

package ark.jvm;

import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.ResponseCache;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TimeZone;
import java.util.function.Predicate;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.Logger;

/**
 * What a process has once and a module may change: locale, time zone, default handlers, levels of {@code java.util.logging}.
 * What a module changed while it started is put back when it ends, unless somebody has changed it since. Later changes cannot be told
 * from those of the base, and stay.
 */
final class Surroundings {
    private static final String LEVEL = "log level ";
    /** Those of the modules that are there, in the order they came. */
    private static final List<Surroundings> LIVING = new ArrayList<>();

    private final Map<String, Object> before;
    private final List<Handler> handlersBefore;
    private Map<String, Object> after;
    private List<Handler> handlersAfter;

    private Surroundings() {
        before = now();
        handlersBefore = handlers();
    }

    /** As they are when a module comes. */
    static Surroundings begin() {
        synchronized (LIVING) {
            Surroundings surroundings = new Surroundings();
            LIVING.add(surroundings);
            return surroundings;
        }
    }

    /** The module has started, or has failed to: what is different now is its doing. */
    void settled() {
        synchronized (LIVING) {
            if (after == null) {
                after = now();
                handlersAfter = handlers();
            }
        }
    }

    /** Puts back what the module changed. What {@code goes} with it, as a handler of its own, nobody who came later keeps. */
    void restore(Predicate<Object> goes) {
        synchronized (LIVING) {
            settled();
            int at = LIVING.indexOf(this);
            if (at < 0) {
                return;
            }
            for (Surroundings other : LIVING) {
                if (other != this) {
                    other.forget(goes, before);
                }
            }
            List<Surroundings> later = LIVING.subList(at + 1, LIVING.size());
            Map<String, Object> now = now();
            Set<String> names = new HashSet<>(before.keySet());
            names.addAll(after.keySet());
            for (String name : names) {
                Object was = before.get(name);
                Object became = after.get(name);
                if (Objects.equals(was, became)) {
                    continue;
                }
                // Who came later found it so, and may count on it: it is put back when that one goes.
                Surroundings heir = later.stream().filter(other -> Objects.equals(other.before.get(name), became)).findFirst().orElse(null);
                if (heir != null) {
                    heir.before.put(name, was);
                } else if (Objects.equals(now.get(name), became)) {
                    put(name, was);
                }
            }
            LIVING.remove(this);
            Logger root = LogManager.getLogManager().getLogger("");
            for (Handler handler : handlersBefore) {
                if (root != null && !handlersAfter.contains(handler) && !handlers().contains(handler)) {
                    root.addHandler(handler);
                }
            }
        }
    }

    /** As if what goes had never been there, but what was {@code instead}. */
    private void forget(Predicate<Object> goes, Map<String, Object> instead) {
        before.replaceAll((name, value) -> goes.test(value) ? instead.get(name) : value);
        handlersBefore.removeIf(goes);
        if (after != null) {
            after.replaceAll((name, value) -> goes.test(value) ? instead.get(name) : value);
            handlersAfter.removeIf(goes);
        }
    }

    private static List<Handler> handlers() {
        Logger root = LogManager.getLogManager().getLogger("");
        return root == null ? new ArrayList<>() : new ArrayList<>(List.of(root.getHandlers()));
    }

    private static Map<String, Object> now() {
        Map<String, Object> now = new HashMap<>();
        now.put("time zone", TimeZone.getDefault());
        now.put("locale", Locale.getDefault());
        now.put("locale for display", Locale.getDefault(Locale.Category.DISPLAY));
        now.put("locale for formats", Locale.getDefault(Locale.Category.FORMAT));
        now.put("uncaught", Thread.getDefaultUncaughtExceptionHandler());
        now.put("out", System.out);
        now.put("err", System.err);
        now.put("in", System.in);
        now.put("authenticator", Authenticator.getDefault());
        now.put("cookies", CookieHandler.getDefault());
        now.put("proxies", ProxySelector.getDefault());
        now.put("responses", ResponseCache.getDefault());
        LogManager manager = LogManager.getLogManager();
        for (String name : java.util.Collections.list(manager.getLoggerNames())) {
            Logger logger = manager.getLogger(name);
            if (logger != null && logger.getLevel() != null) {
                now.put(LEVEL + name, logger.getLevel());
            }
        }
        return now;
    }

    private static void put(String name, Object value) {
        if (name.startsWith(LEVEL)) {
            Logger logger = LogManager.getLogManager().getLogger(name.substring(LEVEL.length()));
            if (logger != null) {
                logger.setLevel((Level) value);
            }
            return;
        }
        switch (name) {
            case "time zone" -> TimeZone.setDefault((TimeZone) value);
            // The two below come along, and are put back by themselves where they were different.
            case "locale" -> setLocale((Locale) value);
            case "locale for display" -> Locale.setDefault(Locale.Category.DISPLAY, (Locale) value);
            case "locale for formats" -> Locale.setDefault(Locale.Category.FORMAT, (Locale) value);
            case "uncaught" -> Thread.setDefaultUncaughtExceptionHandler((Thread.UncaughtExceptionHandler) value);
            case "out" -> System.setOut((java.io.PrintStream) value);
            case "err" -> System.setErr((java.io.PrintStream) value);
            case "in" -> System.setIn((java.io.InputStream) value);
            case "authenticator" -> Authenticator.setDefault((Authenticator) value);
            case "cookies" -> CookieHandler.setDefault((CookieHandler) value);
            case "proxies" -> ProxySelector.setDefault((ProxySelector) value);
            case "responses" -> ResponseCache.setDefault((ResponseCache) value);
            default -> throw new IllegalStateException(name);
        }
    }

    private static void setLocale(Locale locale) {
        Locale display = Locale.getDefault(Locale.Category.DISPLAY);
        Locale formats = Locale.getDefault(Locale.Category.FORMAT);
        Locale.setDefault(locale);
        Locale.setDefault(Locale.Category.DISPLAY, display);
        Locale.setDefault(Locale.Category.FORMAT, formats);
    }
}

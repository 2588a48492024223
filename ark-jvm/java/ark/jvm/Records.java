package ark.jvm;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import java.util.logging.StreamHandler;

/**
 * {@code java.util.logging} is one for the process. What a module logs by it, its libraries and its web server too, goes to the module's
 * own logging, and no longer to the handlers of the base.
 */
final class Records extends Handler {
    private static final Records THE_ONE = new Records();

    /** The base's own, which get what is no module's. */
    private final List<Handler> ofBase = new CopyOnWriteArrayList<>();

    private Records() {
        setLevel(Level.ALL);
    }

    /** Stands in front of the handlers of the base: a filter on them would not do, for not every handler asks its filter. Said again of
     * those that came since. */
    static synchronized void install() {
        Logger root = LogManager.getLogManager().getLogger("");
        boolean installed = false;
        for (Handler handler : root.getHandlers()) {
            if (handler == THE_ONE) {
                installed = true;
            } else if (Module.of(handler.getClass().getClassLoader()) == null) {
                root.removeHandler(handler);
                THE_ONE.ofBase.add(handler);
            }
        }
        if (!installed) {
            root.addHandler(THE_ONE);
        }
    }

    @Override
    public void publish(LogRecord record) {
        Module module = ModuleLoader.current();
        if (module != null) {
            Handler handler = module.records();
            handler.publish(record);
            handler.flush();
            return;
        }
        for (Handler handler : ofBase) {
            handler.publish(record);
        }
    }

    /** The bridges that Spring Boot brings, with Logback and with Log4j 2. */
    private static final String[] BRIDGES = {"org.slf4j.bridge.SLF4JBridgeHandler", "org.apache.logging.log4j.jul.Log4jBridgeHandler"};

    /** Where the records of a module go: to its own logging, through a bridge that it has, or else to its standard error. */
    static Handler of(Module module) {
        for (String bridge : BRIDGES) {
            try {
                return (Handler) module.loader.loadClass(bridge).getDeclaredConstructor().newInstance();
            } catch (ReflectiveOperationException | LinkageError absent) {
                // The next one, perhaps.
            }
        }
        StreamHandler lines = new StreamHandler(System.err, new SimpleFormatter());
        lines.setLevel(Level.ALL);
        return lines;
    }

    @Override
    public void flush() {
        ofBase.forEach(Handler::flush);
    }

    @Override
    public void close() {
        ofBase.forEach(Handler::close);
    }
}

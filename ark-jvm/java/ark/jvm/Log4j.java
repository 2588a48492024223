package ark.jvm;

/**
 * Log4j 2 has a context, with a configuration of its own, for each class loader that logs, unless one further up has one already. An
 * application and its libraries are to have one, as where they have one loader: that which Spring Boot sets up.
 */
final class Log4j {
    private Log4j() {
    }

    /** Makes the context of the libraries' loader before the application asks for one. Nothing where it does not log by Log4j 2. */
    static void prepare(ModuleLoader loader) {
        ModuleLoader layer = loader.layer();
        if (layer == null || layer.getResource("org/apache/logging/log4j/core/LoggerContext.class") == null) {
            return;
        }
        try {
            Class<?> manager = layer.loadClass("org.apache.logging.log4j.LogManager");
            manager.getMethod("getContext", ClassLoader.class, boolean.class).invoke(null, layer, false);
        } catch (ReflectiveOperationException | LinkageError unusable) {
            // Whoever logs will be told.
        }
    }
}

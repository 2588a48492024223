package ark.jvm;

import java.sql.Driver;
import java.sql.DriverManager;
import java.util.Iterator;
import java.util.ServiceLoader;

/**
 * {@code DriverManager} looks for JDBC drivers once in a process, with the class loader of whoever asks it first: nobody else's are found.
 * So those of a module are loaded when it starts, as they would be in a process of its own.
 */
final class Drivers {
    private static final String SERVICE = "META-INF/services/java.sql.Driver";
    private static boolean baseHasAsked;

    private Drivers() {
    }

    /** Loads what drivers the jars of a module name, whose own thread this is: they register themselves. */
    static void load(ModuleLoader loader) throws InterruptedException {
        if (loader.getResource(SERVICE) == null) {
            return;
        }
        askForBase();
        Iterator<Driver> drivers = ServiceLoader.load(Driver.class, loader).iterator();
        try {
            while (drivers.hasNext()) {
                drivers.next();
            }
        } catch (Throwable unusable) {
            // As the manager has it: who needs it is told that there is none.
        }
    }

    /** The base is the first to ask, so that its own drivers are found, though it may ask later by itself. */
    private static synchronized void askForBase() throws InterruptedException {
        if (baseHasAsked) {
            return;
        }
        baseHasAsked = true;
        Thread asking = new Thread(Module.Group.root(), DriverManager::getDrivers, "arklet drivers");
        asking.setContextClassLoader(Base.loader());
        asking.setDaemon(true);
        asking.start();
        asking.join();
    }
}

package shop.misbehave;

/** What can be wrong with an application. The property's value is the name in lower case with dashes. */
enum Fault {

    /** Nothing is. */
    NONE,

    /** Start-up ends with an exception that has causes: {@code main} throws. */
    THROW,

    /** Start-up waits for ever, or until it is interrupted: {@code main} does not return. */
    HANG,

    /** {@code System.exit(3)} during start-up. */
    EXIT,

    /** {@code Runtime.halt(4)} during start-up: no shutdown hook runs. */
    HALT,

    /** Starts threads that are no daemons and go on when interrupted. */
    THREADS,

    /** Starts well; {@code /oom} then takes memory until there is none, which it does not do otherwise. */
    OOM,

    /** Listens on a port that is fixed in the code, and never closes it. */
    FIXED_PORT,

    /** Leaves something in every place of the JVM that outlives an application, see {@link Leftovers}. */
    TIMERS,

    /** Leaves itself in a static field of the JDK's that nobody cleans. */
    HELD
}

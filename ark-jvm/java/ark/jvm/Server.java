package ark.jvm;

/** The base's web server, for applications that join it instead of having their own. An application is known by a key that is nobody else's. */
public interface Server {
    /** Where the server listens. */
    int port();

    /** Starts an application; no request reaches it yet. */
    void start(Object application, String key) throws Exception;

    /** Lets requests with its key reach an application that was started. */
    void admit(String key);

    /**
     * Whether an application answers requests without a key. Of open applications at one path the one that was opened last does.
     */
    void open(String key, boolean open);

    /** Lets no more requests reach an application, and waits until those that are there are answered. Answers whether they are. */
    boolean leave(String key, long patienceMillis) throws InterruptedException;

    /** Stops an application, whether it was admitted or not. */
    void stop(String key) throws Exception;
}

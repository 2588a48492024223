package ark.tomcat;

import ark.jvm.Server;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.catalina.Container;
import org.apache.catalina.Context;
import org.apache.catalina.Engine;
import org.apache.catalina.Host;
import org.apache.catalina.Service;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.core.StandardHost;
import org.apache.catalina.mapper.MappingData;
import org.apache.catalina.valves.ValveBase;

/**
 * Where requests for joined applications come in. Several versions of one may be contexts of the host at one path: a request that names one
 * by its key reaches that, any other the version that was opened last, and without one the base's own application.
 */
public final class Door extends ValveBase implements Server {
    /** The header that names an application. Only who made a key knows it, and no application gets to see it. */
    private static final String KEY = "ark-instance";
    /** How versions of joined applications begin: a request may have been mapped to one that has gone since. */
    private static final String OURS = "ark-";
    private static final int LOOK_MILLIS = 5;
    private static final int NOT_FOUND = 404;
    private static final int UNAVAILABLE = 503;

    private final StandardHost host;
    private final Map<String, Joined> joined = new ConcurrentHashMap<>();
    /** By path, what answers requests without a key. */
    private final Map<String, Joined> front = new ConcurrentHashMap<>();
    private long versions;
    private long openings;

    public Door(Object host) {
        super(true);
        this.host = (StandardHost) host;
        this.host.getPipeline().addValve(this);
    }

    private static final class Joined {
        final StandardContext context;
        /** Counted first and looked at then: whoever waits for an end sees each that got in. */
        final AtomicInteger inside = new AtomicInteger();
        volatile boolean leaving;
        /** When it was opened, by count; 0 while it is not. */
        long opened;
        boolean admitted;

        Joined(StandardContext context) {
            this.context = context;
        }

        boolean enter() {
            inside.incrementAndGet();
            if (leaving) {
                inside.decrementAndGet();
                return false;
            }
            return true;
        }

        /** Whether nobody is in it, also none whose answer comes later from another thread. */
        boolean isEmpty() {
            return inside.get() == 0 && context.getInProgressAsyncCount() == 0;
        }
    }

    @Override
    public void invoke(Request request, Response response) throws IOException {
        String key = request.getCoyoteRequest().getMimeHeaders().getHeader(KEY);
        if (key != null) {
            request.getCoyoteRequest().getMimeHeaders().removeHeader(KEY);
        }
        Joined wanted = key == null ? null : joined.get(key);
        Context found = request.getContext();
        if (wanted == null && (found == null || !isJoined(found))) {
            getNext().invoke(request, response);
            return;
        }
        if (wanted == null) {
            do {
                wanted = front.get(found.getPath());
            } while (wanted != null && !wanted.enter());
            if (wanted == null) {
                pass(own(found.getPath()), request, response);
                return;
            }
        } else if (!wanted.enter()) {
            response.sendError(UNAVAILABLE);
            return;
        }
        try {
            pass(wanted.context, request, response);
        } finally {
            wanted.inside.decrementAndGet();
        }
    }

    private static boolean isJoined(Context context) {
        String version = context.getWebappVersion();
        return version != null && version.startsWith(OURS);
    }

    private void pass(Context context, Request request, Response response) throws IOException {
        if (context == null) {
            response.sendError(NOT_FOUND);
            return;
        }
        if (context != request.getContext()) {
            MappingData mapping = request.getMappingData();
            mapping.recycle();
            mapping.host = host;
            mapping.context = context;
            mapping.contextSlashCount = (int) context.getPath().chars().filter(letter -> letter == '/').count();
            service().getMapper().map(context, request.getCoyoteRequest().decodedURI(), mapping);
        }
        getNext().invoke(request, response);
    }

    /** The base's own application that has this path, or the longest above it. */
    private Context own(String path) {
        Context best = null;
        for (Container child : host.findChildren()) {
            Context context = (Context) child;
            String its = context.getPath();
            boolean has = its.isEmpty() || path.equals(its) || path.startsWith(its + "/");
            if (has && !isJoined(context) && (best == null || its.length() > best.getPath().length())) {
                best = context;
            }
        }
        return best;
    }

    private Service service() {
        return ((Engine) ((Host) host).getParent()).getService();
    }

    @Override
    public int port() {
        for (Connector connector : service().findConnectors()) {
            // Whom else it listens to, and how, is the base's own matter.
            if (!connector.getSecure() && connector.getLocalPort() > 0 && isReached(connector.getProperty("address"))) {
                return connector.getLocalPort();
            }
        }
        return 0;
    }

    private static boolean isReached(Object address) {
        if (!(address instanceof java.net.InetAddress)) {
            return true;
        }
        java.net.InetAddress at = (java.net.InetAddress) address;
        return at.isAnyLocalAddress() || at.equals(java.net.InetAddress.getLoopbackAddress());
    }

    @Override
    public void start(Object application, String key) throws Exception {
        StandardContext context = (StandardContext) application;
        String version;
        synchronized (this) {
            version = OURS + String.format("%019d", versions++);
        }
        context.setWebappVersion(version);
        context.setName(context.getPath() + "##" + version);
        context.setParent(host);
        joined.put(key, new Joined(context));
        context.start();
    }

    @Override
    public synchronized void admit(String key) {
        Joined one = joined.get(key);
        if (one == null || one.admitted) {
            return;
        }
        one.admitted = true;
        boolean starts = host.getStartChildren();
        // It runs already.
        host.setStartChildren(false);
        try {
            host.addChild(one.context);
        } finally {
            host.setStartChildren(starts);
        }
    }

    @Override
    public synchronized void open(String key, boolean open) {
        Joined one = joined.get(key);
        if (one != null) {
            one.opened = open ? ++openings : 0;
            choose(one.context.getPath());
        }
    }

    private void choose(String path) {
        Joined best = null;
        for (Joined one : joined.values()) {
            if (one.opened > 0 && !one.leaving && one.context.getPath().equals(path) && (best == null || best.opened < one.opened)) {
                best = one;
            }
        }
        if (best == null) {
            front.remove(path);
        } else {
            front.put(path, best);
        }
    }

    @Override
    public boolean leave(String key, long patienceMillis) throws InterruptedException {
        Joined one = joined.get(key);
        if (one == null) {
            return true;
        }
        synchronized (this) {
            one.leaving = true;
            choose(one.context.getPath());
        }
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patienceMillis);
        while (!one.isEmpty() && System.nanoTime() < end) {
            Thread.sleep(LOOK_MILLIS);
        }
        return one.isEmpty();
    }

    @Override
    public void stop(String key) throws Exception {
        Joined one = joined.remove(key);
        if (one == null) {
            return;
        }
        synchronized (this) {
            one.leaving = true;
            choose(one.context.getPath());
        }
        if (one.admitted) {
            host.removeChild(one.context);
        } else {
            one.context.stop();
            one.context.destroy();
        }
    }
}

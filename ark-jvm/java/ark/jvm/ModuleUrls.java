package ark.jvm;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;

/**
 * Serves the {@code jar:} URLs of one class path from the mapped package, so that no file stays open, and what stands in no file by
 * {@code ark:}. It keeps no path: a URL made relative to one of these inherits its handler.
 */
final class ModuleUrls extends URLStreamHandler {
    private final long classPath;

    ModuleUrls(long classPath) {
        this.classPath = classPath;
    }

    @Override
    protected URLConnection openConnection(URL url) {
        return new Connection(url, classPath);
    }

    @Override
    protected void parseURL(URL url, String spec, int start, int limit) {
        String part = spec.substring(start, limit);
        String before = url.getFile();
        String file;
        if (before == null || before.isEmpty() || part.startsWith("file:")) {
            file = part;
        } else if (part.startsWith("/")) {
            file = before.substring(0, before.lastIndexOf("!/") + 1) + part;
        } else {
            file = before.substring(0, Math.max(before.lastIndexOf("!/") + 2, before.lastIndexOf('/') + 1)) + part;
        }
        setURL(url, url.getProtocol(), "", -1, "", null, file, null, null);
    }

    private static final class Connection extends URLConnection {
        private final long classPath;
        private byte[] bytes;

        Connection(URL url, long classPath) {
            super(url);
            this.classPath = classPath;
        }

        @Override
        public void connect() throws IOException {
            if (bytes != null) {
                return;
            }
            String from = url.toExternalForm();
            bytes = from.equals(ModuleLoader.OUR_FACTORIES) ? ModuleLoader.ourFactories() : Native.bytesAt(classPath, from);
            if (bytes == null) {
                throw new FileNotFoundException(from);
            }
            connected = true;
        }

        @Override
        public InputStream getInputStream() throws IOException {
            connect();
            return new ByteArrayInputStream(bytes);
        }

        @Override
        public long getContentLengthLong() {
            try {
                connect();
            } catch (IOException absent) {
                return -1;
            }
            return bytes.length;
        }

        @Override
        public int getContentLength() {
            return (int) getContentLengthLong();
        }

        @Override
        public long getLastModified() {
            return 0;
        }
    }
}

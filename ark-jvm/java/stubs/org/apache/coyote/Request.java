package org.apache.coyote;

import org.apache.tomcat.util.buf.MessageBytes;
import org.apache.tomcat.util.http.MimeHeaders;

public final class Request {
    public native MessageBytes decodedURI();

    public native MimeHeaders getMimeHeaders();
}

package org.apache.tomcat.util.http;

public class MimeHeaders {
    public native String getHeader(String name);

    public native void removeHeader(String name);
}

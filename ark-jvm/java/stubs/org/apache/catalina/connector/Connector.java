package org.apache.catalina.connector;

public class Connector {
    public native int getLocalPort();

    public native boolean getSecure();

    public native Object getProperty(String name);
}

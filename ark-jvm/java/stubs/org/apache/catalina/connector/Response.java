package org.apache.catalina.connector;

public class Response {
    public native void sendError(int status) throws java.io.IOException;
}

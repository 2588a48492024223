package org.apache.tomcat.util.buf;

public final class MessageBytes {
}

package org.apache.catalina.mapper;

import java.io.IOException;
import org.apache.catalina.Context;
import org.apache.tomcat.util.buf.MessageBytes;

public final class Mapper {
    public native void map(Context context, MessageBytes uri, MappingData data) throws IOException;
}

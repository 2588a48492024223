package org.apache.catalina.mapper;

import org.apache.catalina.Context;
import org.apache.catalina.Host;

public class MappingData {
    public Host host;
    public Context context;
    public int contextSlashCount;

    public native void recycle();
}

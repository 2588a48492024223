package org.apache.catalina.core;

import org.apache.catalina.Context;

public class StandardContext extends ContainerBase implements Context {
    @Override
    public native String getPath();

    @Override
    public native String getWebappVersion();

    public native void setWebappVersion(String version);

    public native void setUseNaming(boolean use);

    public native long getInProgressAsyncCount();
}

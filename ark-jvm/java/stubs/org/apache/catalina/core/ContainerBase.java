package org.apache.catalina.core;

import org.apache.catalina.Container;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.LifecycleState;
import org.apache.catalina.Pipeline;

public abstract class ContainerBase implements Container {
    @Override
    public native void setName(String name);

    @Override
    public native Container getParent();

    @Override
    public native void setParent(Container parent);

    @Override
    public native void addChild(Container child);

    @Override
    public native void removeChild(Container child);

    @Override
    public native Container[] findChildren();

    @Override
    public native Pipeline getPipeline();

    @Override
    public native void start() throws LifecycleException;

    @Override
    public native void stop() throws LifecycleException;

    @Override
    public native void destroy() throws LifecycleException;

    @Override
    public native LifecycleState getState();

    public native boolean getStartChildren();

    public native void setStartChildren(boolean start);
}

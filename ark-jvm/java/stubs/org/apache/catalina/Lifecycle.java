package org.apache.catalina;

public interface Lifecycle {
    void start() throws LifecycleException;

    void stop() throws LifecycleException;

    void destroy() throws LifecycleException;

    LifecycleState getState();
}

package org.apache.catalina;

public interface Engine extends Container {
    Service getService();
}

package org.apache.catalina;

public interface Context extends Container {
    String getPath();

    String getWebappVersion();
}

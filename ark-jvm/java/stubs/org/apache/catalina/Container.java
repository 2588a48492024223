package org.apache.catalina;

public interface Container extends Lifecycle {
    void setName(String name);

    Container getParent();

    void setParent(Container parent);

    void addChild(Container child);

    void removeChild(Container child);

    Container[] findChildren();

    Pipeline getPipeline();
}

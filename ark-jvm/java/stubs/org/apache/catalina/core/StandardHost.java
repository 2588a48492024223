package org.apache.catalina.core;

import org.apache.catalina.Host;

public class StandardHost extends ContainerBase implements Host {
}

package org.springframework.core.io;

public class DefaultResourceLoader implements ResourceLoader {
    public DefaultResourceLoader(ClassLoader loader) {
    }
}

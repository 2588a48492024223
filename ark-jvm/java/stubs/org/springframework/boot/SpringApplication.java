package org.springframework.boot;

public class SpringApplication {
    public native ClassLoader getClassLoader();

    public native org.springframework.core.io.ResourceLoader getResourceLoader();

    public native void setResourceLoader(org.springframework.core.io.ResourceLoader loader);
}

package org.springframework.core.env;

public interface ConfigurableEnvironment {
    MutablePropertySources getPropertySources();

    String getProperty(String name);
}

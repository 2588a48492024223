package org.springframework.boot;

public interface EnvironmentPostProcessor {
    void postProcessEnvironment(org.springframework.core.env.ConfigurableEnvironment environment, SpringApplication application);
}

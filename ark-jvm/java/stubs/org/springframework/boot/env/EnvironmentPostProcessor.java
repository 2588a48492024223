package org.springframework.boot.env;

public interface EnvironmentPostProcessor {
    void postProcessEnvironment(org.springframework.core.env.ConfigurableEnvironment environment, org.springframework.boot.SpringApplication application);
}

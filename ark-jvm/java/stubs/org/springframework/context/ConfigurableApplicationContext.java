package org.springframework.context;

public interface ConfigurableApplicationContext extends ApplicationContext {
    org.springframework.core.env.ConfigurableEnvironment getEnvironment();

    void addApplicationListener(ApplicationListener<?> listener);
}

package org.springframework.context;

public interface ConfigurableApplicationContext extends ApplicationContext {
    org.springframework.core.env.ConfigurableEnvironment getEnvironment();

    org.springframework.beans.factory.config.ConfigurableListableBeanFactory getBeanFactory();

    void addApplicationListener(ApplicationListener<?> listener);
}

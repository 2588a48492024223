package org.springframework.beans.factory.config;

public interface ConfigurableListableBeanFactory {
    void addBeanPostProcessor(BeanPostProcessor processor);
}

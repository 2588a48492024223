package org.springframework.boot.context.event;

public abstract class SpringApplicationEvent extends org.springframework.context.ApplicationEvent {
    public native org.springframework.boot.SpringApplication getSpringApplication();
}

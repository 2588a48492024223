package org.springframework.boot.context.event;

public class ApplicationEnvironmentPreparedEvent extends SpringApplicationEvent {
}

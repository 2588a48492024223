package org.springframework.core.env;

public abstract class PropertySource<T> {
}

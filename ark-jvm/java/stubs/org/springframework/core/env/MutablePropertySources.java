package org.springframework.core.env;

public class MutablePropertySources {
    public boolean contains(String name) {
        return false;
    }

    public void addFirst(PropertySource<?> source) {
    }

    public void replace(String name, PropertySource<?> source) {
    }
}

package org.springframework.core.env;

public class MapPropertySource extends PropertySource<java.util.Map<String, Object>> {
    public MapPropertySource(String name, java.util.Map<String, Object> source) {
    }
}

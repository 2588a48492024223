package org.springframework.core.env;

public class SystemEnvironmentPropertySource extends MapPropertySource {
    public SystemEnvironmentPropertySource(String name, java.util.Map<String, Object> source) {
        super(name, source);
    }
}

package ark.spring;

import ark.jvm.Module;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.env.EnvironmentPostProcessor;
import org.springframework.core.Ordered;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.MapPropertySource;
import org.springframework.core.env.MutablePropertySources;
import org.springframework.core.env.SystemEnvironmentPropertySource;

/**
 * Gives a module its settings before its configuration files and its logging are looked at. What the base decides comes first; of the
 * process's properties and environment, which are meant for the base, a module sees what describes the machine and what it was given.
 */
public final class Settings implements EnvironmentPostProcessor, Ordered {
    private static final String OURS = "ark";

    @Override
    public int getOrder() {
        return HIGHEST_PRECEDENCE;
    }

    @Override
    public void postProcessEnvironment(ConfigurableEnvironment environment, SpringApplication application) {
        // By this loader we were found.
        put(environment, Module.by(application.getClassLoader()));
    }

    static void put(ConfigurableEnvironment environment, Module module) {
        MutablePropertySources sources = environment.getPropertySources();
        if (module == null || sources.contains(OURS)) {
            return;
        }
        sources.addFirst(new MapPropertySource(OURS, module.settings()));
        if (sources.contains("systemProperties")) {
            sources.replace("systemProperties", new MapPropertySource("systemProperties", module.systemProperties()));
        }
        if (sources.contains("systemEnvironment")) {
            sources.replace("systemEnvironment", new SystemEnvironmentPropertySource("systemEnvironment", module.environment()));
        }
    }
}

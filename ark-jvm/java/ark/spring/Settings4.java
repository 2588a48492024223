package ark.spring;

import ark.jvm.Module;
import org.springframework.boot.EnvironmentPostProcessor;
import org.springframework.boot.SpringApplication;
import org.springframework.core.Ordered;
import org.springframework.core.env.ConfigurableEnvironment;

/** {@link Settings}, for Spring Boot from 4 on, where the interface has another package. */
public final class Settings4 implements EnvironmentPostProcessor, Ordered {
    @Override
    public int getOrder() {
        return HIGHEST_PRECEDENCE;
    }

    @Override
    public void postProcessEnvironment(ConfigurableEnvironment environment, SpringApplication application) {
        Settings.put(environment, Module.by(application.getClassLoader()));
    }
}

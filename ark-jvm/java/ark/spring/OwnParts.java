package ark.spring;

import java.lang.reflect.Field;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.context.event.ApplicationEnvironmentPreparedEvent;
import org.springframework.boot.context.event.ApplicationStartingEvent;
import org.springframework.boot.context.event.SpringApplicationEvent;
import org.springframework.context.ApplicationListener;
import org.springframework.core.Ordered;
import org.springframework.core.io.DefaultResourceLoader;
import org.springframework.core.io.ResourceLoader;

/**
 * Has Spring Boot look for what works on the environment in the module, and not where its own classes are, in the layer or the base: it asks
 * the application's resource loader, and without one its own class loader. The application has such a resource loader for so long.
 */
public final class OwnParts implements ApplicationListener<SpringApplicationEvent>, Ordered {
    private ResourceLoader given;

    @Override
    public int getOrder() {
        return LOWEST_PRECEDENCE;
    }

    @Override
    public void onApplicationEvent(SpringApplicationEvent event) {
        if (event instanceof ApplicationStartingEvent && event.getSpringApplication().getResourceLoader() == null) {
            given = new DefaultResourceLoader(event.getSpringApplication().getClassLoader());
            event.getSpringApplication().setResourceLoader(given);
        } else if (event instanceof ApplicationEnvironmentPreparedEvent && event.getSpringApplication().getResourceLoader() == given) {
            forget(event.getSpringApplication());
        }
    }

    /** There is no method that takes null. With this loader the application's context would find no resources of the servlet context. */
    private static void forget(SpringApplication application) {
        try {
            Field field = SpringApplication.class.getDeclaredField("resourceLoader");
            field.setAccessible(true);
            field.set(application, null);
        } catch (ReflectiveOperationException another) {
            throw new IllegalStateException("this Spring Boot is another than those known", another);
        }
    }
}

package ark.spring;

import ark.jvm.Module;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.Ordered;

/** Meets each application context of a module before anything is in it: it is known from then on, has its settings, and says when it is ready. */
public final class Initializer implements ApplicationContextInitializer<ConfigurableApplicationContext>, Ordered {
    @Override
    public int getOrder() {
        return HIGHEST_PRECEDENCE;
    }

    @Override
    public void initialize(ConfigurableApplicationContext context) {
        Module module = Module.by(context.getClassLoader());
        if (module == null) {
            return;
        }
        module.context(context);
        Settings.put(context.getEnvironment(), module);
        context.getBeanFactory().addBeanPostProcessor(new OwnResources());
        if (module.joins()) {
            context.getBeanFactory().addBeanPostProcessor(new Join(module));
        }
        disableUrlFactory();
        context.addApplicationListener(event -> {
            if (event.getClass().getSimpleName().equals("ApplicationReadyEvent") && context.getParent() == null) {
                String port = context.getEnvironment().getProperty("local.server.port");
                module.started(port == null ? 0 : Integer.parseInt(port));
            }
        });
    }

    /** There can be one factory for URLs in a process, and it is not a module's to be. Where Tomcat is the base's, so is the factory. */
    private static void disableUrlFactory() {
        try {
            Class<?> factory = Class.forName("org.apache.catalina.webresources.TomcatURLStreamHandlerFactory", false, Initializer.class.getClassLoader());
            if (Module.isOfModules(factory)) {
                factory.getMethod("disable").invoke(null);
            }
        } catch (ReflectiveOperationException | LinkageError absent) {
            // No Tomcat here.
        }
    }
}

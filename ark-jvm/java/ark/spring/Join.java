package ark.spring;

import ark.jvm.Module;
import ark.jvm.Server;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.catalina.Valve;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.core.StandardHost;
import org.springframework.beans.factory.config.BeanPostProcessor;
import org.springframework.boot.web.server.WebServer;

/**
 * Has a web application join the base's Tomcat: its own factory, configured as the application has it, makes the context, and no server. What
 * it knows of Spring Boot it looks up by name, for the classes have had two packages.
 */
final class Join implements BeanPostProcessor {
    private static final String FACTORY = "TomcatServletWebServerFactory";

    private final Module module;

    Join(Module module) {
        this.module = module;
    }

    @Override
    public Object postProcessAfterInitialization(Object bean, String name) {
        Class<?> type = bean.getClass();
        while (type != null && !type.getSimpleName().equals(FACTORY)) {
            type = type.getSuperclass();
        }
        if (type == null || !type.getName().startsWith("org.springframework.boot.")) {
            return bean;
        }
        if (!isInherited(bean.getClass(), type, "getWebServer") || !isInherited(bean.getClass(), type, "getTomcatWebServer")) {
            module.staysApart("its " + bean.getClass().getName() + " makes the server itself");
            return bean;
        }
        Class<?> factory = type;
        return Proxy.newProxyInstance(type.getClassLoader(), interfaces(bean.getClass()), (proxy, method, arguments) -> {
            if (method.getName().equals("getWebServer")) {
                return new Joined(module, bean, factory, arguments[0]);
            }
            try {
                return method.invoke(bean, arguments);
            } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
            }
        });
    }

    private static boolean isInherited(Class<?> type, Class<?> from, String name) {
        for (Class<?> at = type; at != from; at = at.getSuperclass()) {
            for (Method method : at.getDeclaredMethods()) {
                if (method.getName().equals(name)) {
                    return false;
                }
            }
        }
        return true;
    }

    private static Class<?>[] interfaces(Class<?> type) {
        List<Class<?>> all = new ArrayList<>();
        for (Class<?> at = type; at != null; at = at.getSuperclass()) {
            for (Class<?> one : at.getInterfaces()) {
                if (!all.contains(one) && java.lang.reflect.Modifier.isPublic(one.getModifiers())) {
                    all.add(one);
                }
            }
        }
        return all.toArray(new Class<?>[0]);
    }

    /** What the application takes for its server. */
    private static final class Joined implements WebServer {
        private final Module module;
        private final Server server;
        private final StandardContext context;

        Joined(Module module, Object bean, Class<?> factory, Object initializers) throws Throwable {
            this.module = module;
            this.server = module.server();
            // Takes the context while it is configured; it never runs.
            StandardHost nursery = new StandardHost();
            nursery.setName("localhost");
            call(bean, factory, "prepareContext", nursery, initializers);
            context = (StandardContext) nursery.findChildren()[0];
            // An embedded server has none, unless its application makes it itself.
            context.setUseNaming(false);
            for (Object valve : (Collection<?>) factory.getMethod("getEngineValves").invoke(bean)) {
                context.getPipeline().addValve((Valve) valve);
            }
            try {
                server.start(context, module.key());
                failEarly();
            } catch (Throwable problem) {
                server.stop(module.key());
                throw problem;
            }
        }

        /** What went wrong when the context was started is kept with it. */
        private void failEarly() throws Throwable {
            Object problem = null;
            for (Class<?> at = context.getClass(); at != StandardContext.class; at = at.getSuperclass()) {
                for (Method method : at.getDeclaredMethods()) {
                    if (method.getName().equals("getStarter")) {
                        method.setAccessible(true);
                        Object starter = method.invoke(context);
                        problem = starter == null ? null : call(starter, starter.getClass(), "getStartUpException");
                    } else if (method.getName().equals("getDeferredStartupExceptions")) {
                        method.setAccessible(true);
                        Object deferred = method.invoke(context);
                        call(deferred, method.getReturnType(), "rethrow");
                    }
                }
            }
            if (problem != null) {
                throw (Throwable) problem;
            }
            if (!context.getState().isAvailable()) {
                throw new IllegalStateException("the web application did not start in the base's Tomcat; it is " + context.getState());
            }
        }

        private static Object call(Object object, Class<?> type, String name, Object... arguments) throws Throwable {
            for (Class<?> at = type; at != null; at = at.getSuperclass()) {
                for (Method method : at.getDeclaredMethods()) {
                    if (method.getName().equals(name) && method.getParameterCount() == arguments.length) {
                        method.setAccessible(true);
                        try {
                            return method.invoke(object, arguments);
                        } catch (InvocationTargetException thrown) {
                            throw thrown.getCause();
                        }
                    }
                }
            }
            throw new NoSuchMethodException(type.getName() + "." + name + ": this Spring Boot is another than those known; use web=own");
        }

        @Override
        public void start() {
            try {
                call(context, context.getClass(), "deferredLoadOnStartup");
            } catch (RuntimeException | Error problem) {
                throw problem;
            } catch (Throwable problem) {
                throw new IllegalStateException("loading what is loaded at start failed: " + problem, problem);
            }
            server.admit(module.key());
            module.joined();
        }

        @Override
        public void stop() {
            try {
                server.stop(module.key());
            } catch (Exception problem) {
                throw new IllegalStateException("the web application did not stop in the base's Tomcat: " + problem, problem);
            }
        }

        @Override
        public int getPort() {
            return server.port();
        }
    }
}

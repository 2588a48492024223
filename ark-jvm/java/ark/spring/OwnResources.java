package ark.spring;

import org.springframework.beans.factory.config.BeanPostProcessor;

/**
 * Gives a reactive application event loops and connections of its own. Those of Reactor Netty are static, thus common to all versions on a
 * layer, and the first that is closed would end them for the others.
 */
final class OwnResources implements BeanPostProcessor {
    @Override
    public Object postProcessBeforeInitialization(Object bean, String name) {
        // It has had two packages, one of them since Spring 6.1.
        if (bean.getClass().getSimpleName().equals("ReactorResourceFactory")) {
            try {
                bean.getClass().getMethod("setUseGlobalResources", boolean.class).invoke(bean, false);
            } catch (ReflectiveOperationException another) {
                // Not Spring's, then.
            }
        }
        return bean;
    }
}

package shop.desk;

import jakarta.annotation.PostConstruct;
import java.lang.management.ManagementFactory;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.NotCompliantMBeanException;
import javax.management.ObjectName;
import javax.management.StandardMBean;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** MBeans that the application registers by itself, and forgets: one of its own class, one in a wrapper of the JDK's. */
@Component
class Leftovers {

    private final String name;

    Leftovers(@Value("${desk.name}") String name) {
        this.name = name;
    }

    /** The interface's name follows from the class's, as JMX wants it. */
    public interface StampMBean {

        String getInk();
    }

    public static final class Stamp implements StampMBean {

        @Override
        public String getInk() {
            return "blue";
        }
    }

    @PostConstruct
    void register() throws JMException {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        server.registerMBean(new Stamp(), nameOf("Stamp"));
        server.registerMBean(wrapped(), nameOf("Wrapped"));
    }

    private static StandardMBean wrapped() throws NotCompliantMBeanException {
        return new StandardMBean(new Stamp(), StampMBean.class);
    }

    private ObjectName nameOf(String type) throws JMException {
        return new ObjectName("shop.desk:type=" + type + ",of=" + name);
    }
}

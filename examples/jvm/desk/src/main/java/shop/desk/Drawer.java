package shop.desk;

import org.springframework.jmx.export.annotation.ManagedAttribute;
import org.springframework.jmx.export.annotation.ManagedResource;
import org.springframework.stereotype.Component;

/** An MBean whose name the application has fixed. */
@Component
@ManagedResource("shop.desk:type=Drawer")
public class Drawer {

    @ManagedAttribute
    public boolean isOpen() {
        return false;
    }
}

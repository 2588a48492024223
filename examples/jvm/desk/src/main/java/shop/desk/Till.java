package shop.desk;

import org.springframework.jmx.export.annotation.ManagedAttribute;
import org.springframework.jmx.export.annotation.ManagedResource;
import org.springframework.stereotype.Component;

/** An MBean that Spring names. */
@Component
@ManagedResource
public class Till {

    @ManagedAttribute
    public int getCents() {
        return 890;
    }
}

package shop.desk;

import java.beans.BeanDescriptor;
import java.beans.SimpleBeanInfo;
import java.util.Locale;
import java.util.ResourceBundle;

/** Found by its name when somebody introspects a {@link Receipt}. */
public class ReceiptBeanInfo extends SimpleBeanInfo {

    @Override
    public BeanDescriptor getBeanDescriptor() {
        BeanDescriptor descriptor = new BeanDescriptor(Receipt.class);
        descriptor.setDisplayName(ResourceBundle.getBundle("words", Locale.ROOT).getString("receipt"));
        return descriptor;
    }
}

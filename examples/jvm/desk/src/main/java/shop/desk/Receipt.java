package shop.desk;

/** A bean that {@link ReceiptBeanInfo} describes. */
public class Receipt {

    private long cents;

    public long getCents() {
        return cents;
    }

    public void setCents(long cents) {
        this.cents = cents;
    }
}

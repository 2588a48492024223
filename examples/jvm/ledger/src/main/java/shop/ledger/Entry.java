package shop.ledger;

import jakarta.persistence.Column;
import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import java.time.Instant;

/** One booking. It is never changed, only followed by another. */
@Entity
class Entry {

    @Id
    @GeneratedValue(strategy = GenerationType.IDENTITY)
    private Long id;

    @Column(nullable = false)
    private String account;

    @Column(nullable = false)
    private long cents;

    @Column(nullable = false)
    private Instant bookedAt;

    /** For JPA. */
    protected Entry() {
    }

    Entry(String account, long cents, Instant bookedAt) {
        this.account = account;
        this.cents = cents;
        this.bookedAt = bookedAt;
    }

    public Long getId() {
        return id;
    }

    public String getAccount() {
        return account;
    }

    public long getCents() {
        return cents;
    }

    public Instant getBookedAt() {
        return bookedAt;
    }
}

package shop.ledger;

import java.time.Instant;
import java.util.List;
import org.springframework.http.HttpStatus;
import org.springframework.transaction.annotation.Transactional;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

@RestController
class LedgerController {

    record Booking(String account, long cents) {
    }

    private final EntryRepository entries;

    LedgerController(EntryRepository entries) {
        this.entries = entries;
    }

    @GetMapping("/version")
    String version() {
        return "v1";
    }

    /** The last hundred bookings, newest first. */
    @GetMapping("/entries")
    @Transactional(readOnly = true)
    List<Entry> entries() {
        return entries.findTop100ByOrderByIdDesc();
    }

    /** A booking of nothing is refused after it was written, so that the refusal proves the roll-back. */
    @PostMapping("/entries")
    @ResponseStatus(HttpStatus.CREATED)
    @Transactional
    Entry book(@RequestBody Booking booking) {
        Entry entry = entries.saveAndFlush(new Entry(booking.account(), booking.cents(), Instant.now()));
        if (booking.cents() == 0) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, "a booking of nothing");
        }
        return entry;
    }
}

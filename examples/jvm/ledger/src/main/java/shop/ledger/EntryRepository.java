package shop.ledger;

import java.util.List;
import org.springframework.data.jpa.repository.JpaRepository;

interface EntryRepository extends JpaRepository<Entry, Long> {

    List<Entry> findTop100ByOrderByIdDesc();
}

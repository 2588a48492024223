package shop.audit;

import java.util.concurrent.atomic.AtomicLong;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.scheduling.annotation.Scheduled;

/** A job that says the same again and again by every logging API, at several levels. */
@SpringBootApplication
@EnableScheduling
public class AuditApplication {

    private static final Logger LOG = LogManager.getLogger(AuditApplication.class);
    private static final org.slf4j.Logger BY_SLF4J = LoggerFactory.getLogger(AuditApplication.class);
    private static final java.util.logging.Logger BY_JDK = java.util.logging.Logger.getLogger("shop.audit.jdk");

    private final AtomicLong entries = new AtomicLong();

    public static void main(String[] args) {
        SpringApplication.run(AuditApplication.class, args);
    }

    @Scheduled(fixedRateString = "${audit.interval}")
    void check() {
        long entry = entries.incrementAndGet();
        LOG.debug("entry {}", entry);
        BY_SLF4J.warn("entry {} by SLF4J", entry);
        BY_JDK.warning("entry " + entry + " by the JDK");
    }
}

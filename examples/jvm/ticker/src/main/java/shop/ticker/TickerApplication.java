package shop.ticker;

import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.scheduling.annotation.Scheduled;

/** A job that writes a line to its own log now and then. It serves nothing. */
@SpringBootApplication
@EnableScheduling
@EnableConfigurationProperties(TickerProperties.class)
public class TickerApplication {

    private static final Logger LOG = LoggerFactory.getLogger(TickerApplication.class);

    private final TickerProperties properties;
    private final AtomicLong ticks = new AtomicLong();

    TickerApplication(TickerProperties properties) {
        this.properties = properties;
    }

    public static void main(String[] args) {
        SpringApplication.run(TickerApplication.class, args);
    }

    @Scheduled(fixedRateString = "${ticker.interval}")
    void tick() {
        LOG.info("{} {}", properties.message(), ticks.incrementAndGet());
    }
}

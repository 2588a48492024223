package shop.ticker;

import java.time.Duration;
import org.springframework.boot.context.properties.ConfigurationProperties;

/**
 * What the ticker is told by its settings.
 *
 * @param interval the time from one line to the next
 * @param message what each line says, before its number
 */
@ConfigurationProperties("ticker")
public record TickerProperties(Duration interval, String message) {
}

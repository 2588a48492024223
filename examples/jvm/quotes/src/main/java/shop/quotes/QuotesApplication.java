package shop.quotes;

import java.time.Duration;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.MediaType;
import org.springframework.http.codec.ServerSentEvent;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** Prices as they change: WebFlux on Netty, so no servlet and no Tomcat. */
@SpringBootApplication
@RestController
public class QuotesApplication {

    record Quote(String sku, long priceCents) {
    }

    public static void main(String[] args) {
        SpringApplication.run(QuotesApplication.class, args);
    }

    @GetMapping("/version")
    Mono<String> version() {
        return Mono.just("v1");
    }

    /** Sends {@code ticks} prices, one every {@code ms} milliseconds, then ends. */
    @GetMapping(path = "/stream", produces = MediaType.TEXT_EVENT_STREAM_VALUE)
    Flux<ServerSentEvent<Quote>> stream(
            @RequestParam(defaultValue = "5") long ticks, @RequestParam(defaultValue = "200") long ms) {
        return Flux.interval(Duration.ZERO, Duration.ofMillis(ms))
                // A client, or a machine, may be slower than the ticks.
                .onBackpressureBuffer()
                .take(ticks)
                .map(tick -> ServerSentEvent.builder(new Quote("TEA-1", 890 + tick % 10))
                        .id(Long.toString(tick))
                        .event("quote")
                        .build());
    }
}

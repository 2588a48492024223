package shop.stock;

import java.util.List;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** What is in store. An ordinary service too; its build makes a SOFAArk package of it besides. */
@SpringBootApplication
@RestController
public class StockApplication {

    record Stock(String sku, int pieces) {
    }

    public static void main(String[] args) {
        SpringApplication.run(StockApplication.class, args);
    }

    @GetMapping("/items")
    List<Stock> items() {
        return List.of(new Stock("CUP-1", 40), new Stock("POT-1", 3), new Stock("TEA-1", 512));
    }

    @GetMapping("/version")
    String version() {
        return "v1";
    }
}

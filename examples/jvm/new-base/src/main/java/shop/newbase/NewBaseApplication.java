package shop.newbase;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An ordinary service on Spring Boot 4, for modules to be installed into. */
@SpringBootApplication
@RestController
public class NewBaseApplication {

    public static void main(String[] args) {
        SpringApplication.run(NewBaseApplication.class, args);
    }

    @GetMapping("/")
    String hello() {
        return "hello from new-base\n";
    }
}

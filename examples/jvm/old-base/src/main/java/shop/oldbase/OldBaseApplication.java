package shop.oldbase;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An ordinary service on Spring Boot 2.7 and javax, for modules to be installed into. */
@SpringBootApplication
@RestController
public class OldBaseApplication {

    public static void main(String[] args) {
        SpringApplication.run(OldBaseApplication.class, args);
    }

    @GetMapping("/")
    String hello() {
        return "hello from old-base\n";
    }
}

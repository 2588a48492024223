package shop.base;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/**
 * An ordinary Spring Boot service with traffic of its own, which other applications can be installed into.
 * Nothing in it knows that.
 */
@SpringBootApplication
@RestController
public class BaseApplication {

    @Value("${spring.application.name}")
    private String name;

    public static void main(String[] args) {
        SpringApplication.run(BaseApplication.class, args);
    }

    @GetMapping("/")
    String hello() {
        return "hello from " + name + "\n";
    }
}

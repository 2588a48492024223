package shop.misbehave;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Does the one wrong thing that the property {@code misbehave} names, a {@link Fault}; otherwise an ordinary service. */
@SpringBootApplication
public class MisbehaveApplication {

    public static void main(String[] args) {
        SpringApplication.run(MisbehaveApplication.class, args);
    }
}

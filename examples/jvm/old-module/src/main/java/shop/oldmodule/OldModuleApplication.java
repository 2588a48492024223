package shop.oldmodule;

import javax.servlet.http.HttpServletRequest;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootVersion;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A service on Spring Boot 2.7 and javax: nothing of it fits a base of another generation. */
@SpringBootApplication
@RestController
public class OldModuleApplication {

    public static void main(String[] args) {
        SpringApplication.run(OldModuleApplication.class, args);
    }

    @GetMapping("/version")
    String version(HttpServletRequest request) {
        return "v1 on Spring Boot " + SpringBootVersion.getVersion()
                + ", " + HttpServletRequest.class.getPackageName()
                + ", " + request.getServletContext().getServerInfo();
    }
}

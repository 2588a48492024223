package peers.module;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A small service that is installed as a module. */
@SpringBootApplication
@RestController
public class ModuleApplication {

    private final String revision;

    ModuleApplication(@Value("${module.revision}") String revision) {
        this.revision = revision;
    }

    public static void main(String[] args) {
        SpringApplication.run(ModuleApplication.class, args);
    }

    @GetMapping("/version")
    String version() {
        return revision;
    }
}

package shop.greeta;

import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.commons.lang3.StringUtils;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.util.ClassUtils;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Greets with commons-lang3 3.12.0, from before it had {@code Strings}. */
@SpringBootApplication
@RestController
public class GreetAApplication {

    public static void main(String[] args) {
        SpringApplication.run(GreetAApplication.class, args);
    }

    /** Not public, so that what is made of it is in this package. */
    interface Made {
    }

    @GetMapping("/greeting")
    String greeting(@RequestParam(defaultValue = "world") String name) {
        return StringUtils.replaceIgnoreCase("Hello, NAME", "name", StringUtils.capitalize(name));
    }

    /** Which version of the library answers here, and whether it has the class that came with 3.18. */
    @GetMapping("/library")
    Map<String, Object> library() throws ClassNotFoundException {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("library", "commons-lang3");
        answer.put("version", StringUtils.class.getPackage().getImplementationVersion());
        answer.put("hasStrings", ClassUtils.isPresent("org.apache.commons.lang3.Strings", getClass().getClassLoader()));
        answer.put("from", StringUtils.class.getProtectionDomain().getCodeSource().getLocation().toString());
        // A class of which there is no file: its loader knows it all the same.
        ClassLoader loader = getClass().getClassLoader();
        Object made = Proxy.newProxyInstance(loader, new Class<?>[] {Made.class}, (proxy, method, arguments) -> null);
        answer.put("made", loader.loadClass(made.getClass().getName()).getName());
        return answer;
    }
}

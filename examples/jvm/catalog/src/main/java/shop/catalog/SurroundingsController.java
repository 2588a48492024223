package shop.catalog;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.DispatcherServlet;

/** Answers with what the application sees of the place that it runs in. */
@RestController
class SurroundingsController {

    private final Environment environment;
    private final String revision;

    SurroundingsController(Environment environment, @Value("${catalog.revision}") String revision) {
        this.environment = environment;
        this.revision = revision;
    }

    @GetMapping("/version")
    String version() {
        return revision;
    }

    @GetMapping("/slow")
    String slow(@RequestParam(defaultValue = "30") long ms) throws InterruptedException {
        Thread.sleep(ms);
        return revision;
    }

    @GetMapping("/env")
    Map<String, String> env(@RequestParam String name) {
        Map<String, String> answer = new LinkedHashMap<>();
        answer.put("name", name);
        answer.put("value", environment.getProperty(name));
        return answer;
    }

    @GetMapping("/where")
    Map<String, Object> where() throws IOException {
        ClassLoader loader = getClass().getClassLoader();
        List<URL> settings = Collections.list(loader.getResources("application.properties"));
        List<String> applications = new ArrayList<>();
        for (URL url : settings) {
            applications.add(applicationNamed(url));
        }

        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("applicationName", environment.getProperty("spring.application.name"));
        answer.put("implementationTitle", getClass().getPackage().getImplementationTitle());
        answer.put("implementationVersion", getClass().getPackage().getImplementationVersion());
        answer.put("classLoader", loader.getClass().getName());
        answer.put("classLoaderName", loader.getName());
        answer.put("contextClassLoader", Thread.currentThread().getContextClassLoader().getClass().getName());
        answer.put("contextClassLoaderIsOurs", leadsTo(loader, Thread.currentThread().getContextClassLoader()));
        answer.put("codeSource", codeSourceOf(getClass()));
        answer.put("springClassLoader", DispatcherServlet.class.getClassLoader().getClass().getName());
        answer.put("springCodeSource", codeSourceOf(DispatcherServlet.class));
        answer.put("springVersion", DispatcherServlet.class.getPackage().getImplementationVersion());
        answer.put("thread", Thread.currentThread().getName());
        answer.put("threadGroup", Thread.currentThread().getThreadGroup().getName());
        answer.put("settings", settings.stream().map(URL::toString).toList());
        answer.put("settingsOf", applications);
        answer.put("foreignSettingsSeen", applications.stream().anyMatch(name -> !"catalog".equals(name)));
        return answer;
    }

    /** Whether {@code from} is {@code loader} or one below it, as an embedded Tomcat's is. */
    private static boolean leadsTo(ClassLoader loader, ClassLoader from) {
        return from != null && (from == loader || leadsTo(loader, from.getParent()));
    }

    private static String applicationNamed(URL settings) throws IOException {
        Properties properties = new Properties();
        try (InputStream in = settings.openStream()) {
            properties.load(in);
        }
        return properties.getProperty("spring.application.name");
    }

    private static String codeSourceOf(Class<?> type) {
        return type.getProtectionDomain().getCodeSource().getLocation().toString();
    }
}

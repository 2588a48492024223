package shop.desk;

import java.beans.IntrospectionException;
import java.beans.Introspector;
import java.lang.management.ManagementFactory;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ResourceBundle;
import javax.management.ObjectName;
import org.springframework.beans.BeanUtils;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Answers with what the application finds in the registries of the JVM. */
@RestController
class DeskController {

    private final String revision;
    private final List<byte[]> kept = new ArrayList<>();

    DeskController(@Value("${desk.revision}") String revision, @Value("${desk.keeps}") int mebibytes) {
        this.revision = revision;
        for (int count = 0; count < mebibytes; count++) {
            // Less than a MiB with its header: where it is more, collectors give each a place of two.
            kept.add(new byte[(1 << 20) - 64]);
        }
    }

    @GetMapping("/version")
    String version() {
        return revision;
    }

    /** The names of all MBeans in the JVM. */
    @GetMapping("/mbeans")
    List<String> mbeans() {
        return ManagementFactory.getPlatformMBeanServer().queryNames(null, null).stream().map(ObjectName::toString).sorted().toList();
    }

    /** The drivers that this application may use, each with the loader that its class is from. */
    @GetMapping("/drivers")
    List<String> drivers() {
        return DriverManager.drivers()
                .map(driver -> driver.getClass().getName() + " of " + driver.getClass().getClassLoader().getName())
                .toList();
    }

    /** Asks a database, whose driver nobody has named. */
    @GetMapping("/database")
    String database() throws SQLException {
        try (Connection connection = DriverManager.getConnection("jdbc:h2:mem:desk");
                ResultSet result = connection.createStatement().executeQuery("select 'from the database'")) {
            result.next();
            return result.getString(1);
        }
    }

    @GetMapping("/word")
    String word(@RequestParam String language) {
        return ResourceBundle.getBundle("words", Locale.forLanguageTag(language)).getString("receipt");
    }

    /** What two caches, the JDK's and Spring's, know of a bean. */
    @GetMapping("/bean")
    List<String> bean() throws IntrospectionException {
        return List.of(
                Introspector.getBeanInfo(Receipt.class).getBeanDescriptor().getDisplayName(),
                BeanUtils.getPropertyDescriptor(Receipt.class, "cents").getReadMethod().getDeclaringClass().getClassLoader().getName());
    }
}

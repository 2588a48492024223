package ark.jvm;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.Reader;
import java.io.Writer;
import java.util.Collection;
import java.util.Enumeration;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * The system properties of the process: each module has its own, everything else those of the base. So an option that is meant for the
 * base configures no module, and what a module sets configures nobody else.
 */
@SuppressWarnings("serial")
final class SystemProperties extends Properties {
    /** What describes the JDK, the machine, and the way to the network. */
    private static final String[] FOR_ALL = {"java.", "javax.", "sun.", "com.sun.", "jdk.", "os.", "user.", "file.", "line.", "path.",
        "native.", "stdout.", "stderr.", "http.", "https.", "ftp.", "socksProxy", "networkaddress."};

    private final Properties ofBase;

    private SystemProperties(Properties ofBase) {
        this.ofBase = ofBase;
    }

    /** Takes the place of the process's properties, once. */
    static synchronized void install() {
        Properties now = System.getProperties();
        if (!(now instanceof SystemProperties)) {
            System.setProperties(new SystemProperties(now));
        }
    }

    /** The properties that a module begins with: those that concern all, and what it was given. */
    static Properties of(Map<String, Object> given) {
        Properties now = System.getProperties();
        Properties ofBase = now instanceof SystemProperties ? ((SystemProperties) now).ofBase : now;
        Properties own = new Properties();
        for (String name : ofBase.stringPropertyNames()) {
            if (Module.begins(name, FOR_ALL)) {
                own.setProperty(name, ofBase.getProperty(name));
            }
        }
        own.putAll(given);
        return own;
    }

    private Properties here() {
        Module module = ModuleLoader.current();
        return module == null ? ofBase : module.properties();
    }

    @Override
    public String getProperty(String key) {
        return here().getProperty(key);
    }

    @Override
    public String getProperty(String key, String otherwise) {
        return here().getProperty(key, otherwise);
    }

    @Override
    public Object setProperty(String key, String value) {
        return here().setProperty(key, value);
    }

    @Override
    public Enumeration<?> propertyNames() {
        return here().propertyNames();
    }

    @Override
    public Set<String> stringPropertyNames() {
        return here().stringPropertyNames();
    }

    @Override
    public void load(Reader reader) throws IOException {
        here().load(reader);
    }

    @Override
    public void load(InputStream stream) throws IOException {
        here().load(stream);
    }

    @Override
    public void loadFromXML(InputStream stream) throws IOException {
        here().loadFromXML(stream);
    }

    @Override
    public void store(Writer writer, String comments) throws IOException {
        here().store(writer, comments);
    }

    @Override
    public void store(OutputStream stream, String comments) throws IOException {
        here().store(stream, comments);
    }

    @Override
    public void storeToXML(OutputStream stream, String comment, java.nio.charset.Charset charset) throws IOException {
        here().storeToXML(stream, comment, charset);
    }

    @Override
    public void list(PrintStream stream) {
        here().list(stream);
    }

    @Override
    public void list(PrintWriter writer) {
        here().list(writer);
    }

    @Override
    public int size() {
        return here().size();
    }

    @Override
    public boolean isEmpty() {
        return here().isEmpty();
    }

    @Override
    public Enumeration<Object> keys() {
        return here().keys();
    }

    @Override
    public Enumeration<Object> elements() {
        return here().elements();
    }

    @Override
    public boolean contains(Object value) {
        return here().contains(value);
    }

    @Override
    public boolean containsValue(Object value) {
        return here().containsValue(value);
    }

    @Override
    public boolean containsKey(Object key) {
        return here().containsKey(key);
    }

    @Override
    public Object get(Object key) {
        return here().get(key);
    }

    @Override
    public Object put(Object key, Object value) {
        return here().put(key, value);
    }

    @Override
    public Object remove(Object key) {
        return here().remove(key);
    }

    @Override
    public void putAll(Map<?, ?> all) {
        here().putAll(all);
    }

    @Override
    public void clear() {
        here().clear();
    }

    @Override
    public Set<Object> keySet() {
        return here().keySet();
    }

    @Override
    public Collection<Object> values() {
        return here().values();
    }

    @Override
    public Set<Map.Entry<Object, Object>> entrySet() {
        return here().entrySet();
    }

    @Override
    public Object getOrDefault(Object key, Object otherwise) {
        return here().getOrDefault(key, otherwise);
    }

    @Override
    public void forEach(BiConsumer<? super Object, ? super Object> action) {
        here().forEach(action);
    }

    @Override
    public void replaceAll(BiFunction<? super Object, ? super Object, ?> function) {
        here().replaceAll(function);
    }

    @Override
    public Object putIfAbsent(Object key, Object value) {
        return here().putIfAbsent(key, value);
    }

    @Override
    public boolean remove(Object key, Object value) {
        return here().remove(key, value);
    }

    @Override
    public boolean replace(Object key, Object before, Object after) {
        return here().replace(key, before, after);
    }

    @Override
    public Object replace(Object key, Object value) {
        return here().replace(key, value);
    }

    @Override
    public Object computeIfAbsent(Object key, Function<? super Object, ?> function) {
        return here().computeIfAbsent(key, function);
    }

    @Override
    public Object computeIfPresent(Object key, BiFunction<? super Object, ? super Object, ?> function) {
        return here().computeIfPresent(key, function);
    }

    @Override
    public Object compute(Object key, BiFunction<? super Object, ? super Object, ?> function) {
        return here().compute(key, function);
    }

    @Override
    public Object merge(Object key, Object value, BiFunction<? super Object, ? super Object, ?> function) {
        return here().merge(key, value, function);
    }

    @Override
    public boolean equals(Object other) {
        return here().equals(other);
    }

    @Override
    public int hashCode() {
        return here().hashCode();
    }

    @Override
    public Object clone() {
        return here().clone();
    }

    @Override
    public String toString() {
        return here().toString();
    }
}

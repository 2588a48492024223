package shop.misbehave;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.logging.Logger;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

@RestController
class MisbehaveController {

    private static final int CHUNK_BYTES = 4 << 20;

    private final Misbehaviour misbehaviour;

    /** A field, so that the memory stays taken after the request has failed. */
    private final List<byte[]> taken = new ArrayList<>();

    MisbehaveController(Misbehaviour misbehaviour) {
        this.misbehaviour = misbehaviour;
    }

    @GetMapping("/ok")
    String ok() {
        if (misbehaviour.fault() == Fault.TIMERS) {
            Leftovers.leaveInThisThread();
        }
        return "ok";
    }

    @GetMapping("/fault")
    Fault fault() {
        return misbehaviour.fault();
    }

    /** What {@link Fault#TIMERS} left behind; nothing under any other fault. */
    @GetMapping("/left")
    List<String> left() {
        return Leftovers.left();
    }

    /** What the whole JVM has once, and {@link Fault#TIMERS} changes. */
    @GetMapping("/defaults")
    Map<String, String> defaults() {
        Map<String, String> defaults = new LinkedHashMap<>();
        defaults.put("locale", Locale.getDefault().toLanguageTag());
        defaults.put("timeZone", TimeZone.getDefault().getID());
        defaults.put("uncaughtExceptionHandler", String.valueOf(Thread.getDefaultUncaughtExceptionHandler()));
        defaults.put("property", System.getProperty("misbehave.left"));
        defaults.put("logHandlers", String.valueOf(Logger.getLogger("").getHandlers().length));
        return defaults;
    }

    /** Takes memory until there is none, and keeps it; refuses to when that is not the fault. */
    @GetMapping("/oom")
    synchronized String oom() {
        if (misbehaviour.fault() != Fault.OOM) {
            throw new ResponseStatusException(HttpStatus.CONFLICT, "only with misbehave=oom");
        }
        while (true) {
            taken.add(new byte[CHUNK_BYTES]);
        }
    }
}

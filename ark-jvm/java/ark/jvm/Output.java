package ark.jvm;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;

/** Standard output or error: what modules write goes to their logs, everything else where it went before. */
final class Output extends OutputStream {
    private final PrintStream before;
    private final boolean error;

    private Output(PrintStream before, boolean error) {
        this.before = before;
        this.error = error;
    }

    private static boolean installed;

    /** Takes both streams over, once. */
    static synchronized void install() {
        if (!installed) {
            installed = true;
            System.setOut(new PrintStream(new Output(System.out, false), true));
            System.setErr(new PrintStream(new Output(System.err, true), true));
        }
    }

    @Override
    public void write(int one) throws IOException {
        write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int length) throws IOException {
        Module module = ModuleLoader.current();
        if (module == null) {
            before.write(bytes, from, length);
        } else {
            Native.output(module.id, error, bytes, from, length);
        }
    }

    @Override
    public void flush() {
        before.flush();
    }
}

package org.apache.catalina;

import java.io.IOException;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;

/** What it throws beside is of {@code javax} or of {@code jakarta}, and so not told here. */
public interface Valve {
    void invoke(Request request, Response response) throws IOException;
}

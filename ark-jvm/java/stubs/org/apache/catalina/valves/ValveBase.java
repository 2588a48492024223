package org.apache.catalina.valves;

import org.apache.catalina.Valve;

public abstract class ValveBase implements Valve {
    public ValveBase(boolean async) {
    }

    public native Valve getNext();
}

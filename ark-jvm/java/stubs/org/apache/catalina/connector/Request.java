package org.apache.catalina.connector;

import org.apache.catalina.Context;
import org.apache.catalina.mapper.MappingData;

public class Request {
    public native Context getContext();

    public native MappingData getMappingData();

    public native org.apache.coyote.Request getCoyoteRequest();
}

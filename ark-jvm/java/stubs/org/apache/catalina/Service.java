package org.apache.catalina;

public interface Service {
    org.apache.catalina.mapper.Mapper getMapper();

    org.apache.catalina.connector.Connector[] findConnectors();
}

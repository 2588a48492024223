//! Who a base is.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

/// What controllers know a base by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tells bases apart; this machine's address unless told otherwise.
    pub identity: String,
    /// What the base is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The cluster it belongs to.
    pub cluster: String,
    /// The base deployment it belongs to.
    pub deployment: String,
    /// What it may be selected by.
    pub labels: BTreeMap<String, String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            identity: local_address().to_string(),
            name: "base".to_owned(),
            version: "1.0.0".to_owned(),
            cluster: "default".to_owned(),
            deployment: "default".to_owned(),
            labels: BTreeMap::new(),
        }
    }
}

/// The address from which this machine would reach others; loopback where it has none.
#[must_use]
pub fn local_address() -> IpAddr {
    // Connecting a datagram socket sends nothing: it only asks for the route. The address is one reserved for documentation.
    let routed = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    routed.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// What the machine is called.
#[must_use]
pub fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

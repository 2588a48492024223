//! Finds bases on this machine.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    ops::RangeInclusive,
    thread,
    time::Duration,
};

use crate::{client::Client, config::Base, error::Error};

/// Where bases listen unless told otherwise: each takes the first of these that is free.
pub(crate) const PORTS: RangeInclusive<u16> = 1238..=1337;

/// Something is either on the loopback at once or not at all.
const CONNECT: Duration = Duration::from_millis(250);

/// A base that answered.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its URL.
    pub(crate) url: String,
    /// Its name; none where it wants a token first.
    name: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "the base {name} at {}", self.url),
            None => write!(f, "a base at {}", self.url),
        }
    }
}

/// Every base on these ports of the loopback, by port.
pub(crate) fn scan(ports: RangeInclusive<u16>) -> Vec<Found> {
    thread::scope(|scope| {
        let probes: Vec<_> = ports.map(|port| scope.spawn(move || probe(port))).collect();
        probes.into_iter().filter_map(|probe| probe.join().ok().flatten()).collect()
    })
}

/// The only one.
///
/// # Errors
/// [`Error::NoBase`] or [`Error::ManyBases`].
pub(crate) fn one(mut found: Vec<Found>) -> Result<Found, Error> {
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(Error::NoBase),
        (Some(only), true) => Ok(only),
        (Some(last), false) => Err(Error::ManyBases(found.iter().chain([&last]).map(ToString::to_string).collect())),
    }
}

fn probe(port: u16) -> Option<Found> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), CONNECT).ok()?;
    let url = format!("http://127.0.0.1:{port}");
    // What refuses in our own words is a base too: one that wants a token. Anything else on the port is none.
    match Client::new(&Base { url: url.clone(), token: None }).ok()?.base() {
        Ok(base) => Some(Found { url, name: Some(base.name) }),
        Err(Error::Refused(_)) => Some(Found { url, name: None }),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Answer, FakeBase};

    fn scanned(port: u16) -> Result<Found, Error> {
        one(scan(port..=port))
    }

    #[test]
    fn a_base_is_found_with_its_name() {
        let base = FakeBase::start(|_| Answer::json(200, &crate::support::base_json()));
        let found = scanned(base.port()).unwrap();
        assert_eq!(found.to_string(), format!("the base demo at {}", base.url()));
    }

    #[test]
    fn a_base_that_wants_a_token_is_found_too() {
        let base = FakeBase::start(|_| Answer::json(401, r#"{"error":{"reason":"Unauthorized","message":"token"}}"#));
        assert!(scanned(base.port()).unwrap().to_string().starts_with("a base at "));
    }

    #[test]
    fn another_server_on_the_port_is_no_base() {
        let server = FakeBase::start(|_| Answer::json(200, r#"{"hello":"world"}"#));
        assert!(matches!(scanned(server.port()), Err(Error::NoBase)));
    }

    #[test]
    fn of_several_bases_none_is_taken() {
        let found = |port: u16| Found { url: format!("http://127.0.0.1:{port}"), name: Some("demo".to_owned()) };
        let error = one(vec![found(1), found(2)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "several bases run on this machine: the base demo at http://127.0.0.1:1, the base demo at http://127.0.0.1:2"
        );
        assert_eq!(error.exit_code(), 2);
    }
}

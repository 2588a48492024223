//! Which base a command is about: the one named on the command line, in the environment or in the configuration, else one on this machine.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;

use crate::{client::Client, error::Error};

/// Where bases on this machine listen.
const PORTS: std::ops::RangeInclusive<u16> = 1238..=1337;
const CONNECT: Duration = Duration::from_millis(300);

/// The configuration file.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The base for commands that name none.
    default: Option<String>,
    /// Bases by name.
    bases: BTreeMap<String, Named>,
}

#[derive(Debug, Default, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Named {
    url: String,
    token: Option<String>,
}

/// A base that was chosen, or none.
#[derive(Debug, PartialEq)]
enum Choice {
    Base { url: String, token: Option<String> },
    Scan,
}

/// `asked` is what the command line or the environment says; it is a URL, or a name in `config`.
fn choose(asked: Option<&str>, config: &Config) -> Result<Choice, Error> {
    let Some(name) = asked.or(config.default.as_deref()) else { return Ok(Choice::Scan) };
    if let Some(named) = config.bases.get(name) {
        return Ok(Choice::Base { url: named.url.clone(), token: named.token.clone() });
    }
    if name.contains("://") {
        return Ok(Choice::Base { url: name.to_owned(), token: None });
    }
    if name.contains(':') {
        return Ok(Choice::Base { url: format!("http://{name}"), token: None });
    }
    let known: Vec<&str> = config.bases.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "no base has a name yet".to_owned() } else { format!("known are {}", known.join(", ")) };
    Err(Error::Usage(format!("{name:?} is neither a URL nor the name of a base in {}; {known}", config_path().display())))
}

/// A client of the base that is meant.
pub(crate) fn client(asked: Option<&str>, token: Option<String>) -> Result<Client, Error> {
    let config = read_config()?;
    match choose(asked, &config)? {
        Choice::Base { url, token: named } => Ok(Client::new(&url, token.or(named))),
        Choice::Scan => {
            let mut found: Vec<String> = scan().iter().map(|address| format!("http://{address}")).collect();
            match (found.pop(), found.is_empty()) {
                (None, _) => Err(Error::NoneFound),
                (Some(url), true) => {
                    crate::output::note(&format!("using the base at {url}"));
                    Ok(Client::new(&url, token))
                }
                (Some(last), false) => {
                    found.push(last);
                    Err(Error::Several(found))
                }
            }
        }
    }
}

fn config_path() -> PathBuf {
    let home = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    home.unwrap_or_default().join("arkctl/config.toml")
}

fn read_config() -> Result<Config, Error> {
    let path = config_path();
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| Error::Usage(format!("{} cannot be read: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Every base on this machine, by port.
fn scan() -> Vec<SocketAddr> {
    let (found, all) = mpsc::channel();
    let probes: Vec<_> = PORTS
        .map(|port| {
            let found = found.clone();
            thread::spawn(move || {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let listens = TcpStream::connect_timeout(&address, CONNECT).is_ok();
                // Somebody listens; whether it is a base shows when it is asked what only a base knows.
                if listens && Client::new(&format!("http://{address}"), None).answers_as_a_base() {
                    let _ = found.send(address);
                }
            })
        })
        .collect();
    drop(found);
    for probe in probes {
        let _ = probe.join();
    }
    let mut all: Vec<SocketAddr> = all.into_iter().collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str("default = \"prod\"\n[bases.prod]\nurl = \"https://p:1238\"\ntoken = \"t\"\n[bases.dev]\nurl = \"http://d:1\"\n")
            .unwrap()
    }

    fn base(url: &str, token: Option<&str>) -> Choice {
        Choice::Base { url: url.to_owned(), token: token.map(str::to_owned) }
    }

    #[test]
    fn what_is_asked_goes_before_the_default_and_the_default_before_a_scan() {
        assert_eq!(choose(Some("dev"), &config()).unwrap(), base("http://d:1", None));
        assert_eq!(choose(None, &config()).unwrap(), base("https://p:1238", Some("t")));
        assert_eq!(choose(None, &Config::default()).unwrap(), Choice::Scan);
    }

    #[test]
    fn a_url_or_an_address_needs_no_name() {
        assert_eq!(choose(Some("http://x:9/"), &config()).unwrap(), base("http://x:9/", None));
        assert_eq!(choose(Some("127.0.0.1:1239"), &config()).unwrap(), base("http://127.0.0.1:1239", None));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        assert!(choose(Some("staging"), &config()).unwrap_err().to_string().ends_with("known are dev, prod"));
    }
}

//! Which base: what was asked for, and the named bases of the configuration file.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::error::Error;

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The base to ask where none is named.
    default: Option<String>,
    /// Bases by name.
    bases: BTreeMap<String, Base>,
}

/// Where a base is, and how it knows us.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Base {
    /// Its URL.
    pub(crate) url: String,
    /// Its token.
    pub(crate) token: Option<String>,
}

impl Config {
    /// Reads the user's file; an absent one is an empty one.
    ///
    /// # Errors
    /// A file that cannot be read, or has a key nobody knows.
    pub(crate) fn load() -> Result<Self, Error> {
        let directory = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = directory.or_else(|| std::env::home_dir().map(|home| home.join(".config")));
        directory.map_or_else(|| Ok(Self::default()), |directory| Self::read(&directory.join("arkctl").join("config.toml")))
    }

    fn read(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Error::Config { path: path.to_owned(), problem: error.to_string().trim_end().to_owned() }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self::default()),
            Err(source) => Err(Error::File { doing: "read", path: path.to_owned(), source }),
        }
    }
}

/// The base to ask: the one asked for, then the file's default, then nobody said (`None`). A token that was asked
/// for goes before the file's.
///
/// # Errors
/// [`Error::Usage`] for a name that the file does not have.
pub(crate) fn choose(asked: Option<&str>, token: Option<&str>, config: &Config) -> Result<Option<Base>, Error> {
    let said = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(name) = said(asked).or_else(|| config.default.clone()) else { return Ok(None) };
    let mut base = match config.bases.get(&name) {
        Some(base) => base.clone(),
        None if name.contains("://") => Base { url: name, token: None },
        None if name.contains(':') || name == "localhost" => Base { url: format!("http://{name}"), token: None },
        None => return Err(Error::Usage(unknown(&name, config))),
    };
    base.token = said(token).or(base.token);
    Ok(Some(base))
}

fn unknown(name: &str, config: &Config) -> String {
    let known: Vec<&str> = config.bases.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "it names none".to_owned() } else { format!("it names {}", known.join(", ")) };
    format!("the base {name:?} is neither a URL nor a name of the configuration file; {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str("default = 'a'\n[bases.a]\nurl = 'http://a:1'\ntoken = 'ta'\n[bases.b]\nurl = 'http://b:1'").unwrap()
    }

    fn chosen(asked: Option<&str>, token: Option<&str>, config: &Config) -> (String, Option<String>) {
        let base = choose(asked, token, config).unwrap().unwrap();
        (base.url, base.token)
    }

    #[test]
    fn what_is_asked_for_goes_before_the_file_and_the_file_before_a_scan() {
        let config = config();
        assert_eq!(chosen(Some("http://c:1"), None, &config), ("http://c:1".to_owned(), None));
        assert_eq!(chosen(Some("b"), None, &config), ("http://b:1".to_owned(), None));
        assert_eq!(chosen(None, None, &config), ("http://a:1".to_owned(), Some("ta".to_owned())));
        assert_eq!(choose(None, None, &Config::default()).unwrap(), None);
    }

    #[test]
    fn a_token_that_is_given_goes_before_that_of_the_file() {
        assert_eq!(chosen(Some("a"), Some("given"), &config()).1.as_deref(), Some("given"));
        assert_eq!(chosen(Some("a"), Some(""), &config()).1.as_deref(), Some("ta"));
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        assert_eq!(chosen(Some(""), None, &config()).0, "http://a:1");
    }

    #[test]
    fn a_host_with_a_port_is_a_url_without_its_scheme() {
        assert_eq!(chosen(Some("127.0.0.1:1238"), None, &config()).0, "http://127.0.0.1:1238");
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let error = choose(Some("staging"), None, &config()).unwrap_err();
        assert!(error.to_string().ends_with("it names a, b"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, "defualt = 'a'").unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        assert!(error.contains("defualt") && error.contains("config.toml"), "{error}");
        assert!(Config::read(&directory.path().join("absent")).unwrap().bases.is_empty());
    }
}

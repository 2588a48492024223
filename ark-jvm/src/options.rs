//! What an order may say of a JVM module beyond what every kind of module has.

use std::{collections::BTreeMap, str::FromStr};

use crate::share::Share;

/// The options of a module, or those of the base for modules whose order does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `share`: with whom it shares its libraries.
    pub share: Share,
    /// `web`: whose web server answers for it.
    pub web: Web,
}

/// Whose web server answers for a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Web {
    /// A server of its own, on a port that only the gateway knows. The default: it works with every server and every version.
    #[default]
    Own,
    /// The base's Tomcat; where that cannot be, the module is not installed.
    Join,
    /// The base's Tomcat where that can be, a server of its own otherwise.
    Auto,
}

/// An option that there is not, or a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no such option.
    #[error("{0:?} is no option of a JVM module; there are share and web")]
    Unknown(String),
    /// It has no such value.
    #[error("share={0:?} is neither module, set, nor none")]
    Share(String),
    /// It has no such value.
    #[error("web={0:?} is neither own, join, nor auto")]
    Web(String),
}

impl Options {
    /// These options, where `given` does not say otherwise.
    ///
    /// # Errors
    ///
    /// [`OptionError`] for the first that is not known or has a value that it cannot have.
    pub fn with(mut self, given: &BTreeMap<String, String>) -> Result<Self, OptionError> {
        for (key, value) in given {
            match key.as_str() {
                "share" => self.share = value.parse()?,
                "web" => self.web = value.parse()?,
                _ => return Err(OptionError::Unknown(key.clone())),
            }
        }
        Ok(self)
    }
}

impl FromStr for Share {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "module" => Ok(Self::Module),
            "set" => Ok(Self::Set),
            "none" => Ok(Self::None),
            _ => Err(OptionError::Share(text.to_owned())),
        }
    }
}

impl FromStr for Web {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "own" => Ok(Self::Own),
            "join" => Ok(Self::Join),
            "auto" => Ok(Self::Auto),
            _ => Err(OptionError::Web(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn what_an_order_does_not_say_is_as_the_base_has_it() {
        let of_base = Options { share: Share::Set, web: Web::Auto };
        assert_eq!(of_base.with(&given(&[])), Ok(of_base));
        assert_eq!(of_base.with(&given(&[("share", "none")])), Ok(Options { share: Share::None, ..of_base }));
        assert_eq!(of_base.with(&given(&[("web", "join")])), Ok(Options { web: Web::Join, ..of_base }));
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let refused = |pairs: &[(&str, &str)]| Options::default().with(&given(pairs)).unwrap_err().to_string();
        assert_eq!(refused(&[("shrae", "own")]), r#""shrae" is no option of a JVM module; there are share and web"#);
        assert_eq!(refused(&[("share", "")]), r#"share="" is neither module, set, nor none"#);
        assert_eq!(refused(&[("web", "own ")]), r#"web="own " is neither own, join, nor auto"#);
    }
}

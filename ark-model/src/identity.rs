//! What a module is called: a name, and a version of that name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name or version in bytes. Both become parts of file names, metric labels and URL paths.
pub const MAX_PART_LEN: usize = 128;

/// A module's identity, written `name:version`.
///
/// Both parts are 1 to [`MAX_PART_LEN`] bytes of ASCII letters, digits, `.`, `_`, `-` and `+`, and
/// begin with a letter or digit, so an identity is safe as a file name, a path segment and a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "Parts", into = "Parts")]
pub struct ModuleId {
    name: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
struct Parts {
    name: String,
    version: String,
}

impl ModuleId {
    /// Checks both parts.
    ///
    /// # Errors
    /// [`InvalidIdentity`] naming the part that is empty, too long, or has a character outside the set.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Result<Self, InvalidIdentity> {
        let (name, version) = (name.into(), version.into());
        check("name", &name)?;
        check("version", &version)?;
        Ok(Self { name, version })
    }

    /// The name, which all versions of a module share.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl TryFrom<Parts> for ModuleId {
    type Error = InvalidIdentity;
    fn try_from(parts: Parts) -> Result<Self, InvalidIdentity> {
        Self::new(parts.name, parts.version)
    }
}

impl From<ModuleId> for Parts {
    fn from(id: ModuleId) -> Self {
        Self { name: id.name, version: id.version }
    }
}

/// A module name or version that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("module {part} {value:?} {problem}")]
pub struct InvalidIdentity {
    part: &'static str,
    value: String,
    problem: &'static str,
}

fn check(part: &'static str, value: &str) -> Result<(), InvalidIdentity> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.len() > MAX_PART_LEN {
        "is longer than 128 bytes"
    } else if !value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "does not begin with a letter or digit"
    } else if !value.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c)) {
        "may only have letters, digits and . _ - +"
    } else {
        return Ok(());
    };
    // An over-long value is cut, so that an error message stays bounded too.
    let value = value.chars().take(MAX_PART_LEN).collect();
    Err(InvalidIdentity { part, value, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_directory_is_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", "-rf", "a:b", "a b", "ä", "a\0"] {
            assert!(ModuleId::new(bad, "1").is_err(), "{bad:?} was taken as a name");
            assert!(ModuleId::new("a", bad).is_err(), "{bad:?} was taken as a version");
        }
    }

    #[test]
    fn a_refusal_names_the_part_and_stays_short() {
        let error = ModuleId::new("a", "v".repeat(1 << 20)).unwrap_err().to_string();
        assert!(error.starts_with("module version \"vvv"), "{error}");
        assert!(error.len() < 256);
    }

    #[test]
    fn ordinary_maven_npm_and_cargo_versions_are_identities() {
        for good in ["1.0.0", "0.0.1-SNAPSHOT", "1.2.3+build.5", "2026_11"] {
            assert!(ModuleId::new("biz1-web.app", good).is_ok());
        }
    }
}

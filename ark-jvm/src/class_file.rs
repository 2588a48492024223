//! The version of a class file.
//!
//! "The Java Virtual Machine Specification", 4.1: a class file begins with `CAFEBABE`, then the minor and the major version.
//! A JVM of feature version F reads major versions up to F + 44.

const FIRST_FEATURE: u16 = 44;

/// Why a class is refused before a JVM sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassVersionError {
    /// It was compiled for a newer JVM.
    #[error(
        "class {class} was compiled for Java {needed} (class file version {}), and this JVM is Java {feature}; run the base on Java {needed}, or compile with `--release {feature}`",
        needed + FIRST_FEATURE
    )]
    TooNew {
        /// The class.
        class: String,
        /// The feature version that it needs.
        needed: u16,
        /// The feature version of the JVM.
        feature: u16,
    },
    /// It is no class file.
    #[error("class {class} does not begin like a class file; build the package again")]
    NoClassFile {
        /// The class.
        class: String,
    },
}

/// Whether a JVM of the feature version `feature` reads the class `class`, whose class file begins with `head`. Gives the
/// feature version that the class needs.
///
/// # Errors
///
/// [`ClassVersionError`] when it does not, or `head` does not begin a class file.
pub fn check_version(class: &str, head: &[u8], feature: u16) -> Result<u16, ClassVersionError> {
    let &[0xca, 0xfe, 0xba, 0xbe, _, _, high, low, ..] = head else {
        return Err(ClassVersionError::NoClassFile { class: class.to_owned() });
    };
    // Versions 45.x are those of Java 1.0 and 1.1.
    let needed = u16::from_be_bytes([high, low]).saturating_sub(FIRST_FEATURE).max(1);
    if needed > feature {
        return Err(ClassVersionError::TooNew { class: class.to_owned(), needed, feature });
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_this_java_or_an_older_one_is_read() {
        assert_eq!(check_version("a.B", &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61], 17), Ok(17));
        assert_eq!(check_version("a.B", &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 9], 17), Ok(8));
    }

    #[test]
    fn a_class_of_a_newer_java_is_refused_with_both_versions() {
        let error = check_version("a.B", &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 65], 17).unwrap_err();
        assert_eq!(
            error.to_string(),
            "class a.B was compiled for Java 21 (class file version 65), and this JVM is Java 17; run the base on Java 21, or compile with `--release 17`"
        );
    }

    #[test]
    fn what_is_no_class_file_is_refused() {
        assert_eq!(check_version("a.B", b"<html>..", 17), Err(ClassVersionError::NoClassFile { class: "a.B".into() }));
        assert!(check_version("a.B", &[0xca, 0xfe], 17).is_err());
    }
}

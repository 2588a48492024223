//! `META-INF/MANIFEST.MF`: what a jar says of itself and of the packages in it.
//!
//! The format is the "JAR File Specification" of the JDK: lines end with CR LF, LF or CR; a line of more than 72 bytes goes
//! on in the next, behind a space; a blank line ends a section; attribute names have no case. What the JDK's own reader
//! accepts beyond the specification (longer lines, a missing last line end) is accepted here too.

/// Where the manifest of a jar lies.
pub const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// The longest manifest that is read, in bytes. Signed jars list a digest per class: 2 MB have been seen.
const LONGEST: usize = 16 << 20;

/// The most attributes that are kept. Digests are not kept, so this is some per package.
const MOST_ATTRIBUTES: usize = 100_000;

/// What a `MANIFEST.MF` says. Sections keep only what [`Manifest::package`] reads; digests of signatures do not stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    main: Attributes,
    /// Name of a package directory or of an entry, and its attributes; sorted by name.
    sections: Vec<(Box<str>, Attributes)>,
}

type Attributes = Vec<(Box<str>, Box<str>)>;

/// What `java.lang.Package` tells of a package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackageAttributes<'a> {
    /// `Specification-Title`
    pub specification_title: Option<&'a str>,
    /// `Specification-Version`
    pub specification_version: Option<&'a str>,
    /// `Specification-Vendor`
    pub specification_vendor: Option<&'a str>,
    /// `Implementation-Title`
    pub implementation_title: Option<&'a str>,
    /// `Implementation-Version`
    pub implementation_version: Option<&'a str>,
    /// `Implementation-Vendor`
    pub implementation_vendor: Option<&'a str>,
    /// Whether `Sealed` is `true`: all classes of the package have to come from this jar.
    pub sealed: bool,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is too long.
    #[error("the manifest has {bytes} bytes, more than the {LONGEST} that are read; leave out what is not needed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has too many attributes.
    #[error("the manifest has more than {MOST_ATTRIBUTES} attributes; leave out what is not needed")]
    TooManyAttributes,
    /// A line is no attribute.
    #[error("line {line} of the manifest is not `Name: value`: {text:?}; correct it and build the jar again")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Its begin.
        text: String,
    },
}

impl Manifest {
    /// Reads the text of a manifest. Where one section names an attribute twice, the last one counts, as in the JDK.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] when it is too long or has a line that is no attribute.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        if text.len() > LONGEST {
            return Err(ManifestError::TooLong { bytes: text.len() });
        }
        let mut manifest = Self::default();
        let mut section: Option<Box<str>> = None;
        let mut attributes = Attributes::new();
        let (mut kept, mut first_section) = (0, true);
        for (line, logical) in LogicalLines::of(text) {
            if logical.is_empty() {
                manifest.end_section(&mut first_section, section.take(), std::mem::take(&mut attributes));
                continue;
            }
            let (name, value) = split(line, &logical)?;
            if !first_section && section.is_none() && attributes.is_empty() && name.eq_ignore_ascii_case("Name") {
                section = Some(value.into());
                continue;
            }
            if !first_section && !is_package_attribute(name) {
                continue;
            }
            kept += 1;
            if kept > MOST_ATTRIBUTES {
                return Err(ManifestError::TooManyAttributes);
            }
            attributes.push((name.into(), value.into()));
        }
        manifest.end_section(&mut first_section, section, attributes);
        // Stable, so that of two sections with one name the last is found last.
        manifest.sections.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(manifest)
    }

    fn end_section(&mut self, first: &mut bool, name: Option<Box<str>>, attributes: Attributes) {
        if *first {
            // Blank lines in front of the main section are none of its ends.
            if !attributes.is_empty() {
                self.main = attributes;
                *first = false;
            }
        } else if let Some(name) = name
            && !attributes.is_empty()
        {
            self.sections.push((name, attributes));
        }
    }

    /// The main attribute `name`, whatever its case, without white space around its value. Empty values count as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        value(&self.main, name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The items of the main attribute `name`, a list with commas. Empty items do not count.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let items = self.get(name).unwrap_or_default().split(',');
        items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Whether classes below `META-INF/versions/` replace others: `Multi-Release` is `true`.
    #[must_use]
    pub fn is_multi_release(&self) -> bool {
        self.get("Multi-Release").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// What the jar says of the package `package`, written `org/example` or `org.example`: its own section first, then the
    /// main attributes, as `URLClassLoader.definePackage` reads them.
    #[must_use]
    pub fn package(&self, package: &str) -> PackageAttributes<'_> {
        let mut directory = package.replace('.', "/");
        directory.push('/');
        let end = self.sections.partition_point(|(name, _)| **name <= *directory);
        let section = end.checked_sub(1).and_then(|last| self.sections.get(last)).filter(|(name, _)| **name == *directory);
        let section = section.map(|(_, attributes)| attributes);
        let get = |name| section.and_then(|section| value(section, name)).or_else(|| value(&self.main, name));
        PackageAttributes {
            specification_title: get("Specification-Title"),
            specification_version: get("Specification-Version"),
            specification_vendor: get("Specification-Vendor"),
            implementation_title: get("Implementation-Title"),
            implementation_version: get("Implementation-Version"),
            implementation_vendor: get("Implementation-Vendor"),
            sealed: get("Sealed").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }
}

fn value<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

fn is_package_attribute(name: &str) -> bool {
    const PREFIXES: [&str; 2] = ["Specification-", "Implementation-"];
    name.eq_ignore_ascii_case("Sealed")
        || PREFIXES.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

fn split(line: usize, logical: &str) -> Result<(&str, &str), ManifestError> {
    let not_an_attribute = || ManifestError::Line { line, text: logical.chars().take(80).collect() };
    // `Name:` with nothing behind is written by some tools in place of `Name: `.
    let (name, value) = logical.split_once(':').ok_or_else(not_an_attribute)?;
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let value = if value.is_empty() { Some(value) } else { value.strip_prefix(' ') };
    value.filter(|_| named).map(|value| (name, value)).ok_or_else(not_an_attribute)
}

/// Lines with their continuations, each with the number of its first physical line. A character may be cut by the end of a
/// line, so lines are joined as bytes and read as UTF-8 then.
struct LogicalLines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> LogicalLines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { rest: text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text), line: 0 }
    }

    fn physical(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        Some(line)
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = (usize, String);

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = self.physical()?.to_vec();
        let line = self.line;
        while !bytes.is_empty() && self.rest.first() == Some(&b' ') {
            let more = self.physical()?;
            bytes.extend_from_slice(more.get(1..).unwrap_or_default());
        }
        Some((line, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Manifest {
        Manifest::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_goes_on_behind_a_space_whatever_ends_the_lines() {
        for end in ["\r\n", "\n", "\r"] {
            let text = ["Manifest-Version: 1.0", "declared-libraries: spring-core,spr", " ing-beans, jackson", " -core", ""].join(end);
            assert_eq!(parse(&text).list("Declared-Libraries"), ["spring-core", "spring-beans", "jackson-core"]);
        }
    }

    #[test]
    fn a_character_may_be_cut_by_the_end_of_a_line() {
        let mut text = b"Implementation-Title: caf\xc3\r\n ".to_vec();
        text.extend_from_slice(b"\xa9\r\n");
        assert_eq!(Manifest::parse(&text).unwrap().get("implementation-title"), Some("café"));
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(parse("Main-Class: a.B").get("Main-Class"), Some("a.B"));
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        let manifest = parse("Main-Class: \ndeny-import-classes:\n");
        assert_eq!(manifest.get("Main-Class"), None);
        assert!(manifest.list("deny-import-classes").is_empty());
    }

    #[test]
    fn a_package_has_its_section_first_and_the_main_attributes_then() {
        let manifest = parse(
            "Implementation-Title: all\nImplementation-Version: 1\nSealed: true\n\nName: a/b/\nImplementation-Title: only b\nSealed: false\n\nName: a/b/C.class\nSHA-256-Digest: x\n",
        );
        let b = manifest.package("a.b");
        assert_eq!((b.implementation_title, b.implementation_version, b.sealed), (Some("only b"), Some("1"), false));
        let c = manifest.package("a/c");
        assert_eq!((c.implementation_title, c.specification_title, c.sealed), (Some("all"), None, true));
    }

    #[test]
    fn digests_of_a_signed_jar_are_not_kept() {
        let manifest = parse("A: 1\n\nName: a/B.class\nSHA-256-Digest: x\n\nName: a/C.class\nSHA-256-Digest: y\n");
        assert!(manifest.sections.is_empty());
    }

    #[test]
    fn a_section_without_a_name_does_not_count() {
        let manifest = parse("A: 1\n\nSealed: true\n\nName: a/\nSealed: true\n");
        assert!(manifest.get("Sealed").is_none() && manifest.package("a").sealed && !manifest.package("b").sealed);
    }

    #[test]
    fn a_line_that_is_no_attribute_is_named() {
        let error = Manifest::parse(b"A: 1\nnonsense\n").unwrap_err();
        assert_eq!(error, ManifestError::Line { line: 2, text: "nonsense".into() });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_manifest_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Manifest::parse(&bytes);
        }

        #[test]
        fn a_value_is_read_as_it_was_written_in_lines_of_72_bytes(value in "[a-z,. é-]{1,300}") {
            let mut text = Vec::new();
            let whole = format!("Key: {value}");
            let mut rest = whole.as_bytes();
            let mut room = 72;
            while !rest.is_empty() {
                let (line, more) = rest.split_at(rest.len().min(room));
                if room == 71 { text.push(b' '); }
                text.extend_from_slice(line);
                text.extend_from_slice(b"\r\n");
                (rest, room) = (more, 71);
            }
            let manifest = Manifest::parse(&text).unwrap();
            prop_assert_eq!(manifest.get("Key").unwrap_or_default(), value.trim());
        }
    }
}

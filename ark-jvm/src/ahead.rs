//! Which classes a layer of libraries had loaded when it was here last, so that they can be loaded ahead of use when it comes again.
//!
//! Only what was really loaded is recorded, by the module and the very libraries that it was loaded for: whatever is loaded ahead would most
//! likely have been loaded a moment later. A record that is missing, torn or foreign costs time and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crate::{Digest, FolderError, LibrarySet};

/// More classes than this are not recorded: some 60 MB of metaspace.
const MOST: usize = 10_000;
/// So many records are kept, the latest.
const KEPT: usize = 64;
/// Names in the JVM are no longer.
const LONGEST: usize = 1_024;

/// What a base uses, and a module as a rule does not: files to log to, for what it logs is kept with it; and what its base's settings
/// put off in it.
const OF_BASES: [&str; 6] = [
    "org.apache.logging.log4j.core.appender.rolling.",
    "org.apache.logging.log4j.core.appender.RollingFile",
    "org.apache.logging.log4j.core.appender.FileManager",
    "ch.qos.logback.core.rolling.",
    "org.apache.logging.log4j.core.jmx.",
    "org.springframework.boot.autoconfigure.BackgroundPreinitializer$",
];

/// Whether a module is likely to need the class `name` because its base has.
#[must_use]
pub fn is_likely(name: &str) -> bool {
    !OF_BASES.iter().any(|place| name.starts_with(place))
}

/// A class as it was when the record was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// `org.example.A$B`.
    pub name: String,
    /// Whether it was linked as well: verified, and ready to be used.
    pub linked: bool,
}

impl Loaded {
    /// A line that [`Loaded::read`] reads.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}{}", if self.linked { '+' } else { '-' }, self.name)
    }

    /// Reads such a line; none where it is something else.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (linked, name) = match line.split_at_checked(1)? {
            ("+", name) => (true, name),
            ("-", name) => (false, name),
            _ => return None,
        };
        let sound = !name.is_empty() && name.len() <= LONGEST && !name.contains(['/', '[', ';']);
        sound.then(|| Self { name: name.to_owned(), linked })
    }
}

/// What a record is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKey(Digest);

impl RecordKey {
    /// That of the libraries `set` under the module of the name `module`.
    #[must_use]
    pub fn of(set: LibrarySet, module: &str) -> Self {
        Self(set.tied(module).0)
    }
}

/// A folder of records.
#[derive(Debug, Clone)]
pub struct Records {
    folder: Arc<Path>,
}

impl Records {
    /// Those in `folder`, which must belong to the base alone. It is made when the first is written.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, key: RecordKey) -> PathBuf {
        self.folder.join(key.0.to_string())
    }

    /// The classes of a record, in the order in which they were loaded; none where there is no such record.
    #[must_use]
    pub fn read(&self, key: RecordKey) -> Vec<Loaded> {
        let text = fs::read_to_string(self.path(key)).unwrap_or_default();
        text.lines().filter_map(Loaded::read).take(MOST).collect()
    }

    /// Writes a record, in place of one with this key. It appears complete or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, key: RecordKey, classes: &[Loaded]) -> Result<(), FolderError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| FolderError { action, path, error: Arc::new(error) }
        };
        fs::create_dir_all(&self.folder).map_err(failed("make the folder", &self.folder))?;
        let text: String = classes.iter().take(MOST).map(|class| class.line() + "\n").collect();
        let path = self.path(key);
        // The order of two that write the same does not matter; either is right.
        let part = path.with_extension(format!("{}.part", std::process::id()));
        fs::write(&part, text).and_then(|()| fs::rename(&part, &path)).map_err(failed("write the record", &path))?;
        self.forget();
        Ok(())
    }

    /// Removes the oldest beyond those that are kept, and what was not finished in time.
    fn forget(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut records: Vec<(SystemTime, PathBuf)> =
            entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
        records.sort();
        for (_, path) in records.iter().rev().skip(KEPT) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(module: &str) -> RecordKey {
        RecordKey::of(LibrarySet(Digest([7; 32])), module)
    }

    fn loaded(name: &str, linked: bool) -> Loaded {
        Loaded { name: name.to_owned(), linked }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_by_its_module_alone() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().join("loaded"));
        assert!(records.read(key("orders")).is_empty());
        let classes = [loaded("org.example.A", true), loaded("org.example.A$Ä", false)];
        records.write(key("orders"), &classes).unwrap();
        assert_eq!(records.read(key("orders")), classes);
        assert!(records.read(key("stock")).is_empty());
        records.write(key("orders"), &classes[..1]).unwrap();
        assert_eq!(records.read(key("orders")), classes[..1]);
    }

    #[test]
    fn what_a_base_does_for_itself_alone_is_not_expected_of_a_module() {
        assert!(is_likely("org.apache.logging.log4j.core.appender.ConsoleAppender"));
        assert!(is_likely("org.springframework.boot.autoconfigure.BackgroundPreinitializer"));
        assert!(!is_likely("org.apache.logging.log4j.core.appender.rolling.RollingFileManager"));
        assert!(!is_likely("org.springframework.boot.autoconfigure.BackgroundPreinitializer$1"));
    }

    #[test]
    fn what_is_torn_or_something_else_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().to_owned());
        let long = "x".repeat(LONGEST + 1);
        let text = format!("+a.B\n\n-\norg.example.C\n+[La.D;\n+a/E\n+{long}\né\n-a.F\n+a.G");
        fs::write(records.path(key("orders")), text).unwrap();
        assert_eq!(records.read(key("orders")), [loaded("a.B", true), loaded("a.F", false), loaded("a.G", true)]);
        fs::write(records.path(key("orders")), [0xff, 0xfe, b'\n']).unwrap();
        assert!(records.read(key("orders")).is_empty());
    }

    #[test]
    fn records_and_their_sizes_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().to_owned());
        let many: Vec<Loaded> = (0..MOST + 5).map(|number| loaded(&format!("a.B{number}"), true)).collect();
        for number in 0..KEPT + 3 {
            records.write(key(&format!("m{number}")), &many[..1]).unwrap();
        }
        records.write(key("last"), &many).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT);
        assert_eq!(records.read(key("last")).len(), MOST);
    }
}

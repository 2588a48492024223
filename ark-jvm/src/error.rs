//! Why an archive is refused.

use std::{io, path::PathBuf, sync::Arc};

/// What is wrong with an archive, and which.
///
/// The message names the archive as people find it: the path of the outer jar and, after `!/`, the jar inside.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot read the archive {archive}: {fault}")]
pub struct ArchiveError {
    /// The path of the file; for a jar inside, `!/` and its entry's name behind it.
    pub archive: String,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What is wrong with an archive.
///
/// `Display` of [`ArchiveError`] already contains it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The file cannot be opened or mapped.
    #[error("{0}; check that the file exists and that this process may read it")]
    Io(Arc<io::Error>),
    /// It does not begin or end like a zip archive.
    #[error("it has {bytes} bytes and no end-of-central-directory record, so it is not a jar; check what was built or uploaded")]
    NotAnArchive {
        /// The length of what was given.
        bytes: u64,
    },
    /// It begins like a zip archive, but its end is missing.
    #[error("it begins like a jar but its end is missing after {bytes} bytes; transfer or build it again")]
    Truncated {
        /// The length of what is there.
        bytes: u64,
    },
    /// The central directory contradicts itself.
    #[error("its central directory is damaged: {what}; build it again")]
    Directory {
        /// What contradicts what.
        what: &'static str,
    },
    /// An entry's data is not inside the file.
    #[error("the data of entry {entry:?} is not inside the file; transfer or build it again")]
    OutsideOfFile {
        /// The entry.
        entry: String,
    },
    /// The header in front of an entry's data is not the one that the central directory describes.
    #[error("the local header of entry {entry:?} does not match the central directory; build the archive again")]
    LocalHeader {
        /// The entry.
        entry: String,
    },
    /// An entry unpacks to something else than is declared.
    #[error("the data of entry {entry:?} is damaged: {what}; transfer or build the archive again")]
    Data {
        /// The entry.
        entry: String,
        /// How the damage shows.
        what: &'static str,
    },
    /// More entries than allowed.
    #[error("it has more than the {limit} entries that are left for it; raise the limit on entries or split the package")]
    TooManyEntries {
        /// What was left of [`Limits::entries`](crate::Limits::entries).
        limit: u32,
    },
    /// More jars inside than allowed.
    #[error("it contains more than {limit} jars; raise the limit on jars or split the package")]
    TooManyJars {
        /// [`Limits::jars`](crate::Limits::jars).
        limit: u16,
    },
    /// One entry is too large.
    #[error("entry {entry:?} declares {bytes} bytes, more than the {limit} that one entry may have; raise the limit or leave it out")]
    EntryTooLarge {
        /// The entry.
        entry: String,
        /// Its declared size.
        bytes: u64,
        /// [`Limits::entry_bytes`](crate::Limits::entry_bytes), or what is left of [`Limits::unpacked_bytes`](crate::Limits::unpacked_bytes).
        limit: u64,
    },
    /// All entries together are too large.
    #[error(
        "its entries declare more than the {limit} bytes that are left for them; raise the limit on the total size or split the package"
    )]
    TotalTooLarge {
        /// What was left of [`Limits::total_bytes`](crate::Limits::total_bytes).
        limit: u64,
    },
    /// One entry would grow too much.
    #[error("entry {entry:?} declares {bytes} bytes from {compressed} compressed ones, more than {limit} times as many: a zip bomb")]
    Ratio {
        /// The entry.
        entry: String,
        /// Its declared size.
        bytes: u64,
        /// Its size in the archive.
        compressed: u64,
        /// [`Limits::ratio`](crate::Limits::ratio).
        limit: u32,
    },
    /// A name that would lead out of a folder.
    #[error("entry {entry:?} has an unsafe name: {what}; build the archive with names relative to its root")]
    UnsafeName {
        /// The entry.
        entry: String,
        /// What is unsafe in it.
        what: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("entry {entry:?} has a name that is not UTF-8; build the archive with UTF-8 names, as `jar` does")]
    NameNotUtf8 {
        /// The name, with what is not UTF-8 replaced.
        entry: String,
    },
    /// Two entries with one name: readers would disagree about which counts.
    #[error("it has two entries named {entry:?}; build it again without the duplicate")]
    Duplicate {
        /// The name.
        entry: String,
    },
    /// An entry is encrypted.
    #[error("entry {entry:?} is encrypted; build the archive without encryption")]
    Encrypted {
        /// The entry.
        entry: String,
    },
    /// An entry is compressed by a method that jars do not have.
    #[error("entry {entry:?} is compressed by method {method}; a jar has stored (0) and deflated (8) entries")]
    Method {
        /// The entry.
        entry: String,
        /// Its method, by the numbers of the zip format.
        method: u16,
    },
    /// An archive over several disks.
    #[error("it is one part of an archive in several files; build it as one file")]
    SeveralDisks,
}

impl Fault {
    /// This fault, of the archive at `archive`.
    pub(crate) fn of(self, archive: &impl ToString) -> ArchiveError {
        ArchiveError { archive: archive.to_string(), fault: self }
    }
}

/// Why something could not be kept in a folder.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} {}: {error}; check that the folder exists, is writable and has room", path.display())]
pub struct FolderError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) error: Arc<io::Error>,
}

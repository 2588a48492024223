//! An opened jar: entries by name, bytes in place where the archive stores them so.

use std::{borrow::Cow, path::Path};

use crate::{
    Limits,
    blob::{Blob, Origin},
    directory::{Directory, Method, Record},
    error::{ArchiveError, Fault},
    inflate::inflate,
};

/// A jar whose directory has been read and found sound. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Archive {
    blob: Blob,
    directory: Directory,
}

/// One entry of an [`Archive`].
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    archive: &'a Archive,
    record: Record<'a>,
}

impl Archive {
    /// Maps the jar at `path` and reads its directory. The file must not be changed while the archive or anything from it
    /// lives: see [`Blob::map`].
    ///
    /// A jar may have other bytes in front, as an executable jar has its start script, and may be in zip64 form.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the file or of its directory. Local headers and data are looked at when an entry is read.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, ArchiveError> {
        Self::of(Blob::map(path)?, limits)
    }

    /// Reads the directory of the jar `blob`.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`].
    pub fn of(blob: Blob, limits: &Limits) -> Result<Self, ArchiveError> {
        let directory = Directory::read(blob.bytes(), limits).map_err(|fault| fault.of(blob.origin()))?;
        Ok(Self { blob, directory })
    }

    /// The archive's own bytes.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// Where the archive comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.blob.origin()
    }

    /// How many entries it has, directories included.
    #[must_use]
    pub fn entry_count(&self) -> u32 {
        self.directory.entries
    }

    /// The declared sizes of all entries together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.directory.total_bytes
    }

    /// All entries, in the order of the directory.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.directory.records(self.blob.bytes()).map(|record| Entry { archive: self, record })
    }

    /// The entry called exactly `name`, by going through all of them. To look up many, index the archive in a
    /// [`ClassPath`](crate::ClassPath).
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.name() == name)
    }

    /// The entry whose record begins `at` bytes into the directory.
    pub(crate) fn at(&self, at: u32) -> Option<Entry<'_>> {
        self.directory.at(self.blob.bytes(), at).map(|record| Entry { archive: self, record })
    }

    /// `length` bytes of the name in the record `at` bytes into the directory, from its `skip`th byte on.
    pub(crate) fn name_part(&self, at: u32, skip: u16, length: u16) -> &[u8] {
        self.directory.name_part(self.blob.bytes(), at, skip, length)
    }
}

impl<'a> Entry<'a> {
    /// The name as the archive has it: with `/`, and at the end of a directory's name too.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.record.name
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.record.name.ends_with('/')
    }

    /// The declared size, which [`Entry::bytes`] holds the data to, in bytes.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.record.size
    }

    /// The declared CRC-32, which [`Entry::bytes`] holds the data to.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.record.crc
    }

    /// Whether the archive keeps the entry uncompressed, so that reading it copies nothing.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.record.method == Method::Stored
    }

    pub(crate) fn at(&self) -> u32 {
        self.record.at
    }

    /// The entry's bytes: borrowed from the archive if stored, unpacked if deflated.
    ///
    /// # Errors
    ///
    /// [`Fault::LocalHeader`], [`Fault::OutsideOfFile`] and [`Fault::Data`]; the last also when the bytes do not have the
    /// declared size and CRC-32. No more than the declared size is ever unpacked.
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>, ArchiveError> {
        let (_, data) = self.data()?;
        let bytes = match self.record.method {
            Method::Stored => Cow::Borrowed(data),
            Method::Deflated => Cow::Owned(inflate(data, self.record.size as usize).map_err(|what| self.damaged(what))?),
        };
        if crc32fast::hash(&bytes) != self.record.crc {
            return Err(self.damaged("it does not have its declared checksum"));
        }
        Ok(bytes)
    }

    /// The entry's bytes under its own name, for a jar inside a jar. A stored one stays where it is, and is not compared
    /// with its checksum, for that would read all of it: each entry inside has a checksum of its own. A deflated one is
    /// unpacked into memory.
    ///
    /// # Errors
    ///
    /// As [`Entry::bytes`].
    pub fn blob(&self) -> Result<Blob, ArchiveError> {
        let outer = &self.archive.blob;
        match self.record.method {
            Method::Stored => {
                let (start, data) = self.data()?;
                Ok(outer.within(self.name(), start..start + data.len()))
            }
            Method::Deflated => Ok(Blob::owned(outer.origin().inside(self.name()), self.bytes()?.into_owned())),
        }
    }

    fn data(&self) -> Result<(usize, &'a [u8]), ArchiveError> {
        let archive = self.archive;
        archive.directory.data(archive.blob.bytes(), &self.record).map_err(|fault| fault.of(archive.origin()))
    }

    fn damaged(&self, what: &'static str) -> ArchiveError {
        Fault::Data { entry: self.record.name.to_owned(), what }.of(self.archive.origin())
    }
}

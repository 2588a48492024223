//! A package, split into what is the module's own and what can be shared.

use std::{
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use crate::{
    Archive, ArchiveError, Blob, ClassPath, ClassPathError, ClassVersionError, Digest, Limits, Origin, check_version, class_file_name,
    error::Fault,
    layout::{Layout, LayoutError},
};

/// An opened package: its layout, the module's own class path, and its libraries.
#[derive(Debug)]
pub struct Package {
    archive: Archive,
    layout: Layout,
    own: ClassPath,
    libraries: Libraries,
    feature: u16,
}

/// The libraries of a package, in order, not yet indexed: if a layer with the same set lives already, they never need to be.
#[derive(Debug)]
pub struct Libraries {
    jars: Vec<Blob>,
    limits: Limits,
    feature: u16,
    set: OnceLock<LibrarySet>,
}

/// The identity of an ordered set of libraries. Two packages with equal identities have the same bytes under the same file
/// names in the same order, so one class loader over either behaves like one over the other.
///
/// It is the SHA-256 over the file name and the SHA-256 of each jar. The checksums that the archive has already would be
/// cheaper, but anyone can make another jar with a given CRC-32, and a set may be shared by modules of different people:
/// the one who comes first would choose the code that the others run. Names count because libraries read them from their
/// URLs; the folder does not, so that an `*-ark-biz.jar` and a Spring Boot jar can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LibrarySet(pub Digest);

/// Why a package cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PackageError {
    /// It cannot be read, or not run as a module.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its class path cannot be indexed.
    #[error(transparent)]
    ClassPath(#[from] ClassPathError),
    /// The class that starts it is missing.
    #[error(
        "cannot use {package} as a module: its start class {class} is neither among its own classes nor in its libraries; correct the main class in its build"
    )]
    NoStartClass {
        /// The jar.
        package: Origin,
        /// The class.
        class: String,
    },
    /// This JVM cannot run its start class.
    #[error("cannot use {package} as a module: {error}")]
    ClassVersion {
        /// The jar.
        package: Origin,
        /// Which class, and why.
        #[source]
        error: ClassVersionError,
    },
}

impl From<ArchiveError> for PackageError {
    fn from(error: ArchiveError) -> Self {
        Self::Layout(LayoutError::Archive(error))
    }
}

impl Package {
    /// Opens the package at `path` for a JVM of the feature version `feature`, and makes sure that its start class is there
    /// and can run. Its libraries are not read, unless the start class is in one of them. The file must not be changed
    /// while the package or anything from it lives: see [`Blob::map`].
    ///
    /// # Errors
    ///
    /// [`PackageError`], which says what to do about it.
    pub fn open(path: &Path, limits: &Limits, feature: u16) -> Result<Self, PackageError> {
        Self::of(Archive::open(path, limits)?, limits, feature)
    }

    /// As [`Package::open`], of an archive that is open already.
    ///
    /// # Errors
    ///
    /// As [`Package::open`].
    pub fn of(archive: Archive, limits: &Limits, feature: u16) -> Result<Self, PackageError> {
        let layout = Layout::read(&archive, limits)?;
        let own = ClassPath::new([(archive.clone(), layout.classes.clone())], feature)?;
        let limits = limits.after(archive.entry_count(), archive.total_bytes());
        let libraries = Libraries { jars: nested(&archive, &layout, &limits)?, limits, feature, set: OnceLock::new() };
        let package = Self { archive, layout, own, libraries, feature };
        package.check_start_class()?;
        Ok(package)
    }

    /// What kind of package it is, and what it says of itself.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The outer jar.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The module's own classes and resources: `BOOT-INF/classes/`, or the jar itself.
    #[must_use]
    pub fn own(&self) -> &ClassPath {
        &self.own
    }

    /// Its libraries.
    #[must_use]
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// Whether it brings what it logs with: Logback or Log4j 2.
    #[must_use]
    pub fn has_logging(&self) -> bool {
        let is_one = |name: &str| name.starts_with("logback-classic-") || name.starts_with("log4j-core-");
        self.libraries.jars.iter().any(|blob| is_one(blob.origin().file_name()))
    }

    /// Own classes and libraries under one table, for a module that shares nothing.
    ///
    /// # Errors
    ///
    /// As [`Libraries::class_path`].
    pub fn whole(&self) -> Result<ClassPath, ClassPathError> {
        let own = (self.archive.clone(), self.layout.classes.clone());
        ClassPath::new(std::iter::once(own).chain(self.libraries.open()?), self.feature)
    }

    fn check_start_class(&self) -> Result<(), PackageError> {
        let class = &*self.layout.start_class;
        let name = class_file_name(class);
        let bytes = match self.own.find(&name).and_then(|hit| hit.archived()) {
            Some(entry) => Some(entry.bytes()?.into_owned()),
            None => {
                let libraries = self.libraries.class_path()?;
                libraries.find(&name).and_then(|hit| hit.archived()).map(|entry| entry.bytes().map(Vec::from)).transpose()?
            }
        };
        let package = || self.archive.origin().clone();
        let bytes = bytes.ok_or_else(|| PackageError::NoStartClass { package: package(), class: class.to_owned() })?;
        check_version(class, &bytes, self.feature).map_err(|error| PackageError::ClassVersion { package: package(), error })?;
        Ok(())
    }
}

/// The jars that `layout` names, in its order.
pub(crate) fn nested(archive: &Archive, layout: &Layout, limits: &Limits) -> Result<Vec<Blob>, ArchiveError> {
    let mut entries: std::collections::HashMap<&str, _> = archive.entries().map(|entry| (entry.name(), entry)).collect();
    let mut room = limits.unpacked_bytes;
    let mut jars = Vec::with_capacity(layout.libraries.len());
    for entry in layout.libraries.iter().filter_map(|name| entries.remove(&**name)) {
        if !entry.is_stored() {
            let (bytes, limit) = (u64::from(entry.size()), room);
            let too_large = || Fault::EntryTooLarge { entry: entry.name().to_owned(), bytes, limit }.of(archive.origin());
            room = room.checked_sub(bytes).ok_or_else(too_large)?;
        }
        jars.push(entry.blob()?);
    }
    Ok(jars)
}

impl Libraries {
    /// The jars, in order.
    #[must_use]
    pub fn jars(&self) -> &[Blob] {
        &self.jars
    }

    /// The identity of the set. The first call reads all jars, on two threads.
    #[must_use]
    pub fn set(&self) -> LibrarySet {
        *self.set.get_or_init(|| {
            // Each takes the next that nobody has taken, so that both end at about the same time; a blob keeps its digest.
            let next = AtomicUsize::new(0);
            let digest = || while self.jars.get(next.fetch_add(1, Ordering::Relaxed)).map(Blob::digest).is_some() {};
            std::thread::scope(|scope| {
                scope.spawn(digest);
                digest();
            });
            let mut hasher = Sha256::new();
            for jar in &self.jars {
                let name = jar.origin().file_name();
                // With its length in front, a name cannot run into the digest behind it.
                hasher.update((name.len() as u64).to_le_bytes());
                hasher.update(name);
                hasher.update(jar.digest().0);
            }
            LibrarySet(Digest(hasher.finalize().into()))
        })
    }

    /// Opens and indexes the jars.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they exceed the limits together.
    pub fn class_path(&self) -> Result<ClassPath, ClassPathError> {
        ClassPath::new(self.open()?, self.feature)
    }

    fn open(&self) -> Result<Vec<(Archive, String)>, ArchiveError> {
        let mut limits = self.limits;
        let mut archives = Vec::with_capacity(self.jars.len());
        for jar in &self.jars {
            let archive = Archive::of(jar.clone(), &limits)?;
            limits = limits.after(archive.entry_count(), archive.total_bytes());
            archives.push((archive, String::new()));
        }
        Ok(archives)
    }
}

impl LibrarySet {
    /// The identity of this set where its classes are linked in another way as well, which `ties` tells: to classes of the base.
    #[must_use]
    pub fn tied(self, ties: &str) -> Self {
        if ties.is_empty() {
            return self;
        }
        let mut hasher = Sha256::new();
        hasher.update(self.0.0);
        hasher.update(ties);
        Self(Digest(hasher.finalize().into()))
    }
}

impl std::fmt::Display for LibrarySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

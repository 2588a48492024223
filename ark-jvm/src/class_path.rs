//! Many jars under one look-up table.
//!
//! Names are not copied: the table holds numbers of entries, and an entry knows where in its jar's directory its name
//! stands. The rules are those of `URLClassLoader` and `java.util.jar.JarFile`: the first jar that has a name wins, all of
//! them answer in order to a request for all, and in a multi-release jar the highest version that suits the JVM stands
//! for the others. In one thing it gives more: directories exist even if a jar has no entries for them, because component
//! scanners begin with `getResources("org/example/")` and find nothing in such jars otherwise.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    hash::BuildHasher,
    sync::{Arc, OnceLock},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{
    Archive, ArchiveError, Entry, Manifest, ManifestError, Origin,
    manifest::{MANIFEST, PackageAttributes},
};

const VERSIONS: &str = "META-INF/versions/";

/// An ordered set of jars with one table over all their entries. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct ClassPath(Arc<Index>);

#[derive(Debug)]
struct Index {
    jars: Vec<Jar>,
    entries: Vec<Indexed>,
    /// Numbers of the first entry with each name.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// One entry: 16 bytes, of which a fat jar needs some 40,000.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    /// Its record in its jar's directory; for a directory made up here, the record of something in it.
    record: u32,
    /// The next entry with the same name, in the order of the jars, or [`NONE`].
    next: u32,
    jar: u16,
    /// What of the record's name is in front: the root of the jar's classes, or `META-INF/versions/17/`.
    skip: u16,
    /// The length of the name behind `skip`, without the `/` of a directory.
    length: u16,
    kind: Kind,
}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    /// A directory that the jar has no entry for.
    MadeUp,
}

/// A jar on a class path.
#[derive(Debug)]
pub struct Jar {
    archive: Archive,
    root: String,
    signed: bool,
    manifest: OnceLock<Result<Manifest, ClassPathError>>,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    index: &'a Index,
    number: u32,
    entry: Indexed,
}

/// Why jars cannot be a class path, or one of them cannot say what it says of itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClassPathError {
    /// A jar cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A jar's manifest cannot be read.
    #[error("cannot read what the jar {jar} says of itself: {error}")]
    Manifest {
        /// The jar.
        jar: Origin,
        /// Why not.
        #[source]
        error: ManifestError,
    },
    /// More jars or entries than numbers for them.
    #[error("cannot index {jars} jars with {entries} entries: at most 65,535 jars and 4,294,967,294 entries have numbers; use fewer")]
    TooMany {
        /// The jars.
        jars: usize,
        /// Their entries.
        entries: u64,
    },
}

impl ClassPath {
    /// Indexes `jars`, in this order, for a JVM of the feature version `feature` (17, 21, 25). Each jar's classes and resources
    /// lie below its root, which is `""` or ends with `/`.
    ///
    /// # Errors
    ///
    /// When the manifest of a jar with versioned entries cannot be read, or there are more jars than numbers for them.
    pub fn new(jars: impl IntoIterator<Item = (Archive, String)>, feature: u16) -> Result<Self, ClassPathError> {
        let jars: Vec<Jar> =
            jars.into_iter().map(|(archive, root)| Jar { archive, root, signed: false, manifest: OnceLock::new() }).collect();
        let entries: u64 = jars.iter().map(|jar| u64::from(jar.archive.entry_count())).sum();
        // A made-up directory for each part of each name would be the most; half the numbers are kept for them.
        if jars.len() > usize::from(u16::MAX) || entries > u64::from(u32::MAX / 2) {
            return Err(ClassPathError::TooMany { jars: jars.len(), entries });
        }
        let expected = usize::try_from(entries).unwrap_or_default();
        let mut index = Index {
            jars,
            entries: Vec::with_capacity(expected),
            table: HashTable::with_capacity(expected),
            hasher: DefaultHashBuilder::default(),
        };
        // From the last jar to the first, so that each new entry goes in front of those it has the name of.
        for number in (0..index.jars.len()).rev() {
            index.add(number, feature)?;
        }
        index.entries.shrink_to_fit();
        Ok(Self(Arc::new(index)))
    }

    /// The first entry called `name`, `org/example/A.class`. With `/` at its end, only a directory answers; without, either.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Hit<'_>> {
        self.find_all(name).next()
    }

    /// The class file of the class `name`, `org.example.A$B` or `org/example/A$B`.
    #[must_use]
    pub fn find_class(&self, name: &str) -> Option<Hit<'_>> {
        self.find(&class_file_name(name))
    }

    /// The entries called `name`, at most one of each jar but for a file and a directory of the same name, in the order of
    /// the jars.
    pub fn find_all(&self, name: &str) -> impl Iterator<Item = Hit<'_>> + use<'_> {
        let key = name.strip_suffix('/').unwrap_or(name);
        let only_directories = key.len() < name.len();
        let index = &*self.0;
        let mut next = index.first(key.as_bytes());
        std::iter::from_fn(move || {
            let hit = index.hit(next?)?;
            next = Some(hit.entry.next);
            Some(hit)
        })
        .filter(move |hit| !only_directories || hit.is_directory())
    }

    /// The entry `name` of one jar, as a URL names it: with the root of the jar in front. In a multi-release jar, a plain name
    /// finds the version that suits, as `JarFile` does for a URL.
    #[must_use]
    pub fn find_in_jar(&self, jar: usize, name: &str) -> Option<Hit<'_>> {
        let below = name.strip_prefix(self.jars().get(jar)?.root())?;
        self.find_all(below).find(|hit| hit.jar_number() == jar)
    }

    /// The entry that [`Hit::number`] belongs to.
    #[must_use]
    pub fn entry(&self, number: u32) -> Option<Hit<'_>> {
        self.0.hit(number)
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = Hit<'_>> {
        let index = &*self.0;
        index.entries.iter().zip(0..).map(move |(&entry, number)| Hit { index, number, entry })
    }

    /// The packages that have classes, as `org/example`; the unnamed package is `""`.
    #[must_use]
    pub fn packages(&self) -> BTreeSet<&str> {
        let mut packages = BTreeSet::new();
        let mut last = None;
        for hit in self.entries().filter(|hit| hit.is_class()) {
            let package = hit.package();
            // Classes of one package mostly stand together.
            if last != Some(package) {
                packages.insert(package);
                last = Some(package);
            }
        }
        packages
    }

    /// The jars, in order.
    #[must_use]
    pub fn jars(&self) -> &[Jar] {
        &self.0.jars
    }

    /// Lets go of what is in memory of its jars' files: see [`Blob::rest`](crate::Blob::rest).
    pub fn rest(&self) {
        for jar in self.jars() {
            jar.archive().blob().rest();
        }
    }

    /// How many entries can be found, directories included.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.0.entries.len()
    }

    /// The memory of the table and of jars that had to be unpacked, in bytes; mapped files are not part of it.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        let index = &*self.0;
        let entries = index.entries.capacity() * size_of::<Indexed>();
        let unpacked: u64 = index.jars.iter().map(|jar| jar.archive.blob().allocated()).sum();
        (entries + index.table.allocation_size() + index.jars.capacity() * size_of::<Jar>()) as u64 + unpacked
    }
}

impl Index {
    fn add(&mut self, number: usize, feature: u16) -> Result<(), ClassPathError> {
        let Some(jar) = self.jars.get(number) else { return Ok(()) };
        let (archive, root) = (jar.archive.clone(), jar.root.clone());
        let jar = u16::try_from(number).unwrap_or(u16::MAX);
        let skip = u16::try_from(root.len()).unwrap_or(u16::MAX);
        let mut signed = false;
        let mut versioned = Vec::new();
        // What stands together in a jar mostly has the same parent, so these are few.
        let mut parents: Vec<(&str, u32)> = Vec::new();
        for entry in archive.entries() {
            let name = entry.name();
            signed |= is_signature(name);
            let Some(below) = name.strip_prefix(&*root) else { continue };
            let (key, kind) = match below.strip_suffix('/') {
                Some(key) => (key, Kind::Directory),
                None => (below, Kind::File),
            };
            if key.is_empty() {
                continue;
            }
            self.put(key, jar, entry.at(), skip, kind);
            let directory = parent(key);
            if parents.last().is_none_or(|&(last, _)| last != directory) {
                parents.push((directory, entry.at()));
            }
            // A root is a folder in a jar of another layout, whose versions are not those of the folder.
            if root.is_empty()
                && kind == Kind::File
                && let Some((version, below)) = versioned_name(name, feature)
            {
                versioned.push((version, entry.at(), name.len() - below.len()));
            }
        }
        if !versioned.is_empty() && self.jars.get(number).map(Jar::manifest).transpose()?.is_some_and(Manifest::is_multi_release) {
            // The highest version comes last and stays.
            versioned.sort_unstable();
            for (_, at, skip) in versioned {
                let Some(name) = archive.at(at).map(|entry| entry.name()) else { continue };
                let below = name.get(skip..).unwrap_or_default();
                self.put(below, jar, at, u16::try_from(skip).unwrap_or(u16::MAX), Kind::File);
            }
        }
        // Behind all entries, so that what has one is not made up. What exists has parents: they were made up with it, or are
        // in the list themselves.
        for (mut directory, record) in parents {
            while !directory.is_empty() && self.put(directory, jar, record, skip, Kind::MadeUp) {
                directory = parent(directory);
            }
        }
        if let Some(jar) = self.jars.get_mut(number) {
            jar.signed = signed;
        }
        Ok(())
    }

    /// Puts the entry `key` of `jar` in front of those of later jars. A file takes the place of a file of the same jar, a
    /// versioned one; a directory is left as it is. Says whether anything was put.
    fn put(&mut self, key: &str, jar: u16, record: u32, skip: u16, kind: Kind) -> bool {
        let Ok(length) = u16::try_from(key.len()) else { return false };
        let Ok(number) = u32::try_from(self.entries.len()) else { return false };
        let new = Indexed { record, next: NONE, jar, skip, length, kind };
        let Self { jars, entries, table, hasher } = self;
        let hash = hasher.hash_one(key.as_bytes());
        let found = table.find_mut(hash, |&other| name_of(jars, entries, other) == key.as_bytes());
        let Some(head) = found else {
            entries.push(new);
            table.insert_unique(hash, number, |&other| hasher.hash_one(name_of(jars, entries, other)));
            return true;
        };
        // Of one jar, at most a file and then a directory stand at the head.
        let mut at = *head;
        let mut file_of_this_jar = None;
        while let Some(existing) = entries.get_mut(at as usize).filter(|existing| existing.jar == jar) {
            if (existing.kind == Kind::File) == (kind == Kind::File) {
                let replace = kind == Kind::File;
                if replace {
                    *existing = Indexed { next: existing.next, ..new };
                }
                return replace;
            }
            if existing.kind == Kind::File {
                file_of_this_jar = Some(at);
            }
            at = existing.next;
        }
        match file_of_this_jar.and_then(|file| entries.get_mut(file as usize)) {
            Some(file) => {
                let next = std::mem::replace(&mut file.next, number);
                entries.push(Indexed { next, ..new });
            }
            None => {
                let next = std::mem::replace(head, number);
                entries.push(Indexed { next, ..new });
            }
        }
        true
    }

    fn first(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&other| name_of(&self.jars, &self.entries, other) == key).copied()
    }

    fn hit(&self, number: u32) -> Option<Hit<'_>> {
        self.entries.get(number as usize).map(|&entry| Hit { index: self, number, entry })
    }
}

fn name_of<'a>(jars: &'a [Jar], entries: &[Indexed], number: u32) -> &'a [u8] {
    let Some(entry) = entries.get(number as usize) else { return &[] };
    let Some(jar) = jars.get(usize::from(entry.jar)) else { return &[] };
    jar.archive.name_part(entry.record, entry.skip, entry.length)
}

/// The name of the class file of a class: `org/example/A.class` for `org.example.A`.
#[must_use]
pub fn class_file_name(class: &str) -> String {
    let mut name = String::with_capacity(class.len() + 6);
    name.extend(class.chars().map(|c| if c == '.' { '/' } else { c }));
    name.push_str(".class");
    name
}

fn parent(name: &str) -> &str {
    name.rfind('/').and_then(|end| name.get(..end)).unwrap_or_default()
}

/// Version and plain name of an entry that may stand for another on a JVM of `feature`. As in `JarFile`, there are versions
/// from 9 on, and nothing in `META-INF/` has them.
fn versioned_name(name: &str, feature: u16) -> Option<(u16, &str)> {
    let (version, below) = name.strip_prefix(VERSIONS)?.split_once('/')?;
    let version = version.parse().ok().filter(|version| (9..=feature).contains(version))?;
    (!below.is_empty() && !below.starts_with("META-INF/")).then_some((version, below))
}

/// Whether the entry `name` is a signature file, by the "JAR File Specification".
fn is_signature(name: &str) -> bool {
    let file = name.strip_prefix("META-INF/").filter(|file| !file.contains('/'));
    file.and_then(|file| file.rsplit_once('.')).is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("SF"))
}

impl Jar {
    /// The archive.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.archive.origin()
    }

    /// The folder in the archive below which its classes lie: `""`, or `BOOT-INF/classes/`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether it has a signature file. The signature itself is not checked.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// What the jar says of itself; empty if it has no manifest. Read at the first call. For classes in a folder of a jar,
    /// the manifest is that of the jar, as Spring Boot's launcher has it.
    ///
    /// # Errors
    ///
    /// When the manifest is damaged or refused.
    pub fn manifest(&self) -> Result<&Manifest, ClassPathError> {
        let read = || match self.archive.entry(MANIFEST) {
            None => Ok(Manifest::default()),
            Some(entry) => Manifest::parse(&entry.bytes()?).map_err(|error| ClassPathError::Manifest { jar: self.origin().clone(), error }),
        };
        self.manifest.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// What `java.lang.Package` tells of the package `package` in this jar.
    ///
    /// # Errors
    ///
    /// As [`Jar::manifest`].
    pub fn package(&self, package: &str) -> Result<PackageAttributes<'_>, ClassPathError> {
        self.manifest().map(|manifest| manifest.package(package))
    }
}

impl<'a> Hit<'a> {
    /// A number that finds the entry again: see [`ClassPath::entry`].
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The position of its jar in [`ClassPath::jars`].
    #[must_use]
    pub fn jar_number(&self) -> usize {
        self.entry.jar.into()
    }

    /// Its jar.
    #[must_use]
    pub fn jar(&self) -> &'a Jar {
        #[expect(clippy::indexing_slicing, reason = "an entry's number of its jar is a position in `jars`, which never changes")]
        &self.index.jars[self.jar_number()]
    }

    /// The name it was found by, without the `/` of a directory.
    #[must_use]
    pub fn name(&self) -> &'a str {
        // Names were found to be UTF-8 when the jar was opened, and roots and parents end at a `/`.
        str::from_utf8(self.jar().archive.name_part(self.entry.record, self.entry.skip, self.entry.length)).unwrap_or_default()
    }

    /// The package of a class, or the folder of another entry: `org/example`.
    #[must_use]
    pub fn package(&self) -> &'a str {
        parent(self.name())
    }

    /// The name in its jar, for a URL: with the root or the version in front, with the `/` of a directory behind.
    #[must_use]
    pub fn name_in_jar(&self) -> Cow<'a, str> {
        let end = self.entry.skip.saturating_add(self.entry.length);
        let name = str::from_utf8(self.jar().archive.name_part(self.entry.record, 0, end)).unwrap_or_default();
        if self.is_directory() { Cow::Owned(format!("{name}/")) } else { Cow::Borrowed(name) }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.entry.kind != Kind::File
    }

    /// Whether it is a class file that a class loader may be asked for: not one of the versions of another, no `module-info`.
    #[must_use]
    pub fn is_class(&self) -> bool {
        let name = self.name();
        !self.is_directory()
            && name.strip_suffix(".class").is_some_and(|name| !matches!(name.rsplit('/').next(), None | Some("module-info")))
            && !name.starts_with("META-INF/")
    }

    /// Its size in bytes; 0 for a directory.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.archived().map_or(0, |entry| entry.size())
    }

    /// Its bytes: borrowed from the jar if stored, unpacked if deflated; none for a directory.
    ///
    /// # Errors
    ///
    /// As [`Entry::bytes`].
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>, ArchiveError> {
        self.archived().map_or(Ok(Cow::Borrowed(&[])), |entry| entry.bytes())
    }

    /// Its entry in the archive; none for a directory.
    #[must_use]
    pub fn archived(&self) -> Option<Entry<'a>> {
        if self.is_directory() { None } else { self.jar().archive.at(self.entry.record) }
    }
}

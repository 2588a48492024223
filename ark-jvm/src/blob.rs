//! Bytes with a name and a digest: a mapped file, or a jar inside one.

use std::{
    fmt,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use memmap2::Mmap;
use sha2::{Digest as _, Sha256};

use crate::error::{ArchiveError, Fault};

/// Bytes that do not change, where they come from, and their digest. Cloning is cheap and copies nothing.
#[derive(Debug, Clone)]
pub struct Blob(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    held: Held,
    digest: OnceLock<Digest>,
}

#[derive(Debug)]
enum Held {
    Mapped(Mmap),
    /// A stretch of another blob, which it keeps mapped.
    Within(Blob, Range<usize>),
    Owned(Vec<u8>),
}

/// Where bytes come from. `Display` writes the path and, for a jar inside, `!/` and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file, as it was named when it was opened.
    pub file: PathBuf,
    /// For a jar inside the file: its entry's name, `BOOT-INF/lib/spring-core-6.2.19.jar`.
    pub inner: Option<String>,
}

/// The SHA-256 of some content. `Display` writes it in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Blob {
    /// Maps the file at `path`; nothing is read yet.
    ///
    /// The file must lie in a folder that belongs to the base alone, and must not be changed or cut off while any clone of
    /// the blob lives; removing or replacing its name is fine.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`] when it cannot be opened or mapped.
    pub fn map(path: &Path) -> Result<Self, ArchiveError> {
        let failed = |error: std::io::Error| Fault::Io(Arc::new(error)).of(&path.display());
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("it is not a regular file")));
        }
        let mapped = map(&file).map_err(failed)?;
        // Directories lie at the ends of the file and of each jar inside: without this, a cold file is read page by page.
        #[cfg(unix)]
        let _ = mapped.advise(memmap2::Advice::WillNeed);
        Ok(Self::new(Origin { file: path.to_owned(), inner: None }, Held::Mapped(mapped)))
    }

    /// Bytes that are in memory already; `origin` is what messages call them.
    #[must_use]
    pub fn owned(origin: Origin, bytes: Vec<u8>) -> Self {
        Self::new(origin, Held::Owned(bytes))
    }

    /// The stretch `range` of this blob, named `inner`.
    pub(crate) fn within(&self, inner: &str, range: Range<usize>) -> Self {
        Self::new(self.origin().inside(inner), Held::Within(self.clone(), range))
    }

    fn new(origin: Origin, held: Held) -> Self {
        Self(Arc::new(Inner { origin, held, digest: OnceLock::new() }))
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0.held {
            Held::Mapped(map) => map,
            Held::Within(outer, range) => outer.bytes().get(range.clone()).unwrap_or_default(),
            Held::Owned(bytes) => bytes,
        }
    }

    /// Lets go of what is in memory of a mapped file, the whole of it where this is a stretch of one. Whoever looks again has it read again,
    /// out of the system's cache as a rule.
    pub fn rest(&self) {
        match &self.0.held {
            Held::Mapped(map) => rest(map),
            Held::Within(outer, _) => outer.rest(),
            Held::Owned(_) => {}
        }
    }

    /// How many bytes were allocated for it: none for a mapped file or a stretch of one.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        match &self.0.held {
            Held::Mapped(_) | Held::Within(..) => 0,
            Held::Owned(bytes) => bytes.len() as u64,
        }
    }

    /// The SHA-256 of the bytes. The first call reads them all.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| Digest(Sha256::digest(self.bytes()).into()))
    }
}

impl Origin {
    /// The entry `inner` of the archive at this origin.
    pub(crate) fn inside(&self, inner: &str) -> Self {
        let inner = match &self.inner {
            Some(outer) => format!("{outer}!/{inner}"),
            None => inner.to_owned(),
        };
        Self { file: self.file.clone(), inner: Some(inner) }
    }

    /// The last part of the name: `spring-core-6.2.19.jar`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        match &self.inner {
            Some(inner) => inner.rsplit('/').next().unwrap_or_default(),
            None => self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.inner.as_ref().map_or(Ok(()), |inner| write!(f, "!/{inner}"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[expect(unsafe_code, reason = "the one mapping of a file into this process")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the bytes of a mapping must not change under a `&[u8]`. Packages lie in the base's own store, are renamed
    // into place when complete, and are never written to again: a new package replaces a name, not bytes. `Blob::map`
    // demands the same of whoever names a file elsewhere.
    unsafe { Mmap::map(file) }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "what may be done with the one mapping")]
fn rest(map: &Mmap) {
    // SAFETY: of a mapping of a file that nobody writes through, pages that are let go of come back from the file, which never changes.
    let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
}

#[cfg(not(unix))]
fn rest(_: &Mmap) {}

//! The packages a base has, each under the sha-256 of its bytes. Written beside, then renamed: what has a name is whole.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ark::{Package, runtime::HEAD_BYTES};
use ark_model::{Failure, Reason};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::{Bounds, Pack};

/// An install has just found its package, or is about to: the bound on what is unused takes only what is older.
const JUST_COME: Duration = Duration::from_secs(60);

/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;
/// How many files are remembered.
const MAX_READ: usize = 1_024;
/// The system's clock for files moves on within this time: two changes inside of it may look like one.
const CLOCK_STEP: Duration = Duration::from_millis(100);

/// What a file cannot keep when it changes: its size, place, and the times that the system sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Unchanged {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Unchanged {
    /// None for a file that changed just now.
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let since = Duration::new(u64::try_from(changed.0).ok()?, u32::try_from(changed.1).ok()?);
        let settled = now.checked_sub(since).is_some_and(|age| age > CLOCK_STEP);
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        settled.then_some(Self { place: (metadata.dev(), metadata.ino()), size: metadata.len(), modified, changed })
    }
}

/// A folder of packages.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    bounds: Bounds,
    incoming: AtomicU64,
    /// The digests of files that were read before, so that one which has not changed since is not read again.
    read: Mutex<HashMap<Unchanged, String>>,
    /// Told when a package has come, and when one may have lost its last user.
    pub(crate) untidy: Notify,
}

impl Store {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(folder: PathBuf, bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, bounds, incoming: AtomicU64::new(0), read: Mutex::default(), untidy: Notify::new() })
    }

    /// The package with this digest. Its time in the store counts anew: somebody is about to use it.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn find(&self, sha256: &str) -> Result<Option<Package>, Failure> {
        let path = self.folder.join(sha256);
        match head(&path) {
            Ok((head, size)) => Ok(Some(Package { sha256: sha256.into(), size, path: path.into(), head })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Begins a package whose bytes come in pieces.
    ///
    /// # Errors
    /// [`Reason::DiskFull`], or what else keeps a file from being made.
    pub fn incoming(&self) -> Result<Incoming<'_>, Failure> {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}.part", std::process::id()));
        let file = File::create(&path).map_err(|error| failed("write", &path, &error))?;
        Ok(Incoming { store: self, file, path, hasher: Sha256::new(), size: 0 })
    }

    /// Takes in the file at `path`. One that was read before and has not changed since is not read again.
    pub(crate) fn take_in(&self, path: &Path) -> Result<Package, Failure> {
        let unreadable =
            |error: &io::Error| Failure::new(Reason::FetchFailed, format!("could not read the package at {}: {error}", path.display()));
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(unreadable(&io::Error::other("it is no regular file")));
        }
        self.fits(metadata.len())?;
        let unchanged = Unchanged::of(&metadata);
        let known = unchanged.and_then(|file| self.read().get(&file).cloned());
        if let Some(package) = known.map(|sha256| self.find(&sha256)).transpose()?.flatten() {
            return Ok(package);
        }
        let mut file = BufReader::with_capacity(PIECE, file);
        let package = self.take_all(|incoming| io::copy(&mut file, incoming).map(drop), |error| unreadable(&error))?;
        // What was read is what the file was then only if it still is.
        if let Some(unchanged) = unchanged.filter(|file| fs::metadata(path).is_ok_and(|now| Unchanged::of(&now) == Some(*file))) {
            let mut read = self.read();
            if read.len() >= MAX_READ {
                read.clear();
            }
            read.insert(unchanged, package.sha256.to_string());
        }
        Ok(package)
    }

    /// Takes in the folder at `path`, as `pack` makes a package of it.
    pub(crate) fn take_in_folder(&self, path: &Path, pack: Pack) -> Result<Package, Failure> {
        let no_package = |error| Failure::new(Reason::FetchFailed, format!("the folder {} is no package: {error}", path.display()));
        self.take_all(|incoming| pack(path, incoming), no_package)
    }

    /// Takes in what `fill` writes; where that fails, and not for what the store says, it is a failure `of` its own.
    fn take_all(
        &self,
        fill: impl FnOnce(&mut Pieces<'_, '_>) -> io::Result<()>,
        of: impl FnOnce(io::Error) -> Failure,
    ) -> Result<Package, Failure> {
        let mut incoming = self.incoming()?;
        let mut refused = None;
        let filled = fill(&mut Pieces { incoming: &mut incoming, refused: &mut refused });
        match (filled, refused) {
            (Ok(()), None) => incoming.finish(),
            (_, Some(failure)) => Err(failure),
            (Err(error), None) => Err(of(error)),
        }
    }

    fn read(&self) -> MutexGuard<'_, HashMap<Unchanged, String>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, size: u64) -> Result<(), Failure> {
        if size <= self.bounds.package_bytes {
            return Ok(());
        }
        let message = format!("the package has {size} bytes or more, and this base takes at most {}", self.bounds.package_bytes);
        Err(Failure::new(Reason::PackageTooLarge, message))
    }

    /// Whether the package with this digest is here.
    pub(crate) fn has(&self, sha256: &str) -> bool {
        self.folder.join(sha256).is_file()
    }

    /// Removes packages that nobody `uses`: those that were looked at too long ago, and the oldest where all of them are too
    /// large together. Says after how long it is worth to do so again; never, where nothing unused is left.
    pub fn tidy(&self, uses: &HashSet<String>) -> Option<Duration> {
        let now = SystemTime::now();
        let mut unused = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some() || uses.contains(&*entry.file_name().to_string_lossy()) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
            unused.push((age, metadata.len(), path));
        }
        unused.sort();
        let (mut together, mut again) = (0, None::<Duration>);
        for (age, size, path) in unused {
            together += size;
            let kept_for = if together > self.bounds.unused_bytes { JUST_COME.min(self.bounds.unused_for) } else { self.bounds.unused_for };
            if age < kept_for {
                let left = kept_for - age;
                again = Some(again.map_or(left, |other| other.min(left)));
            } else if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a package that nobody uses could not be removed");
            } else {
                tracing::debug!(path = %path.display(), "a package that nobody uses is gone");
            }
        }
        again
    }
}

/// Writes to a package that is coming, and keeps why that is refused.
struct Pieces<'a, 'b> {
    incoming: &'a mut Incoming<'b>,
    refused: &'a mut Option<Failure>,
}

impl Write for Pieces<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.incoming.write(bytes).map_err(|failure| {
            *self.refused = Some(failure);
            io::Error::other("refused")
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A package that is coming. Dropped before its end it leaves nothing.
pub struct Incoming<'a> {
    store: &'a Store,
    file: File,
    path: PathBuf,
    hasher: Sha256,
    size: u64,
}

impl Incoming<'_> {
    /// How many bytes have come.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether a package of `size` bytes would be accepted.
    pub(crate) fn fits(&self, size: u64) -> Result<(), Failure> {
        self.store.fits(size)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Reason::PackageTooLarge`], [`Reason::DiskFull`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.store.fits(self.size + bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(|error| failed("write", &self.path, &error))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Begins anew: what came is not what will come.
    ///
    /// # Errors
    /// Where the file cannot be cut.
    pub fn restart(&mut self) -> Result<(), Failure> {
        use std::io::Seek;
        let cut = self.file.set_len(0).and_then(|()| self.file.rewind());
        cut.map_err(|error| failed("write", &self.path, &error))?;
        (self.hasher, self.size) = (Sha256::new(), 0);
        Ok(())
    }

    /// All bytes are here: gives the package its name, if none has it already.
    ///
    /// # Errors
    /// [`Reason::DiskFull`], or what else keeps it from being durable.
    pub fn finish(self) -> Result<Package, Failure> {
        let sha256 = hex(&self.hasher.clone().finalize());
        if let Some(package) = self.store.find(&sha256)? {
            return Ok(package);
        }
        let path = self.store.folder.join(&sha256);
        let kept = self.file.sync_data().and_then(|()| fs::rename(&self.path, &path));
        kept.map_err(|error| failed("keep", &path, &error))?;
        self.store.untidy.notify_one();
        self.store.find(&sha256)?.ok_or_else(|| failed("find", &path, &io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        // After `finish` it has another name, and there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// A sha-256 in hex, lower-case.
pub(crate) fn digest(hex: &str) -> Result<String, Failure> {
    let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(hex.to_ascii_lowercase())
    } else {
        let shown: String = hex.chars().take(80).collect();
        Err(Failure::new(Reason::InvalidRequest, format!("{shown:?} is no sha-256: it has 64 hex digits")))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn head(path: &Path) -> io::Result<(Arc<[u8]>, u64)> {
    let file = File::open(path)?;
    // On a file system that refuses it, the package only goes earlier once nobody uses it.
    let _ = file.set_modified(SystemTime::now());
    let size = file.metadata()?.len();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok((head.into(), size))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let reason = if error.kind() == io::ErrorKind::StorageFull { Reason::DiskFull } else { Reason::Internal };
    Failure::new(reason, format!("could not {what} a package at {}: {error}; make room, or check the disk", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_nobody_uses_the_oldest_goes_first_and_what_has_just_come_stays() {
        let folder = tempfile::tempdir().unwrap();
        let bounds = Bounds { unused_for: Duration::from_secs(3_600), unused_bytes: 10, ..Bounds::default() };
        let store = Store::open(folder.path().to_owned(), bounds).unwrap();
        let put = |bytes: &[u8], age: u64| {
            let mut incoming = store.incoming().unwrap();
            incoming.write(bytes).unwrap();
            let package = incoming.finish().unwrap();
            File::open(&package.path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            package.sha256.to_string()
        };
        let (used, new, newer) = (put(b"used  ", 9_999), put(b"new   ", 2), put(b"newer ", 1));
        let (old, older, oldest) = (put(b"old   ", 90), put(b"older ", 100), put(b"oldest", 4_000));
        let again = store.tidy(&HashSet::from([used.clone()])).unwrap();
        assert!(again <= JUST_COME, "{again:?}");
        let left: HashSet<String> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(left, HashSet::from([used, new, newer]));
        assert!(![old, older, oldest].iter().any(|sha256| left.contains(sha256)));
        // Where all is used there is nothing to come back for.
        assert_eq!(store.tidy(&left), None);
    }

    #[test]
    fn a_file_is_read_again_only_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Bounds::default()).unwrap();
        let file = folder.path().join("a.jar");
        let take_in = || store.take_in(&file).unwrap().sha256;
        fs::write(&file, b"one").unwrap();
        let one = take_in();
        assert!(store.read().is_empty(), "it changed just now");
        let settled = |path: &Path| Unchanged::of(&fs::metadata(path).unwrap()).is_some();
        while !settled(&file) {
            std::thread::yield_now();
        }
        assert!(take_in() == one && take_in() == one && store.read().len() == 1);
        fs::write(&file, b"two").unwrap();
        assert_ne!(take_in(), one);
    }
}

//! The folder of a base that runs: its scripts, and the sockets by which it reaches modules. It goes with the base; what a base left that was
//! killed goes when the next one starts.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::process::getuid;
use tempfile::{Builder, TempDir};

const PREFIX: &str = "nodejslet-";
/// Locked as long as its folder is in use.
const LOCK: &str = "lock";

/// The folder. Deleted when it is dropped.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    /// Whoever can lock it may delete the folder.
    _lock: File,
}

impl Folder {
    /// Makes it, and deletes those that nobody uses any more.
    ///
    /// # Errors
    /// Where the folder for temporary files cannot be written.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(of_all: &Path) -> io::Result<Self> {
        for left in fs::read_dir(of_all)?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
            // What others put where everybody may is not opened.
            let is_own = left.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == getuid().as_raw());
            if is_own && File::open(left.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(left.path());
            }
        }
        let folder = Builder::new().prefix(PREFIX).tempdir_in(of_all)?;
        // It is there only once it is locked.
        let lock = tempfile::NamedTempFile::new_in(folder.path())?;
        lock.as_file().lock()?;
        let lock = lock.persist(folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_nobody_uses_any_more_goes_and_others_stay() {
        let of_all = tempfile::tempdir().unwrap();
        let left = of_all.path().join("nodejslet-of-one-that-was-killed");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        let not_ours = of_all.path().join("nodejslet-notes");
        fs::create_dir(&not_ours).unwrap();
        let one = Folder::new_in(of_all.path()).unwrap();
        assert!(!left.exists() && not_ours.is_dir());
        let other = Folder::new_in(of_all.path()).unwrap();
        assert!(one.path().is_dir() && other.path().is_dir());
        drop((one, other));
        assert_eq!(fs::read_dir(of_all.path()).unwrap().count(), 1);
    }
}

//! Jars inside a package as files of their own, for code that wants a path.
//!
//! Most code takes a stream, but `JarFile`, `URLClassLoader.getURLs` and the scanners of some libraries take a file. Files are
//! named by content, so versions and restarts share them, and are written when they are first asked for.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Blob, FolderError};

/// Distinguishes the unfinished files of this process.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

const PART: &str = "part";

/// A folder of jars by content: `<folder>/<sha256>/<file name>`.
#[derive(Debug, Clone)]
pub struct Extracted {
    folder: PathBuf,
}

impl Extracted {
    /// Opens or makes `folder`, which must belong to the base alone, and removes what earlier processes did not finish.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == PART) && !is_mine(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The path of a file with the bytes of `jar`: the jar's own file if it is one, else one in the folder, written now if it
    /// is not there. Any number of threads may ask at the same time: a file appears complete or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn path_of(&self, jar: &Blob) -> Result<PathBuf, FolderError> {
        let origin = jar.origin();
        if origin.inner.is_none() {
            return Ok(origin.file.clone());
        }
        let digest = jar.digest();
        let folder = self.folder.join(digest.to_string());
        let path = folder.join(origin.file_name());
        let length = jar.bytes().len() as u64;
        // The name says the content, and only complete files get the name; the length tells a file that was cut off since.
        if fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == length) {
            return Ok(path);
        }
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let part = self.folder.join(format!("{digest}.{}.{number}.{PART}", std::process::id()));
        let written = fs::File::create(&part).and_then(|mut file| file.write_all(jar.bytes())).and_then(|()| fs::rename(&part, &path));
        written.inspect_err(|_| drop(fs::remove_file(&part))).map_err(failed("write the jar", &path))?;
        Ok(path)
    }
}

fn is_mine(part: &Path) -> bool {
    let name = part.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('.').nth(1) == Some(&std::process::id().to_string())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |error| FolderError { action, path: path.to_owned(), error: Arc::new(error) }
}

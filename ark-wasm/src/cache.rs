//! Compiled code, kept by the content it was made from. Written beside, then renamed; only files written here are mapped.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ark_model::{Failure, Reason};
use wasmtime::{Engine, component::Component};

use crate::engine::Build;

/// How files of code end.
const CODE: &str = ".cwasm";

/// The code of one engine. Another version or other settings of the engine have a folder of their own, so code that
/// does not fit is never found.
#[derive(Debug)]
pub(crate) struct Cache {
    /// How the folders of its build begin, whatever the engine.
    kind: String,
    folder: PathBuf,
    written: AtomicU64,
    /// Held from where a file has its name to where it is mapped, and while one is removed.
    naming: Mutex<()>,
}

impl Cache {
    pub(crate) fn open(root: &Path, build: Build, engine: &Engine) -> Result<Self, Failure> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let kind = format!("{}-", build.as_str());
        let folder = root.join(format!("{kind}{:016x}", hasher.finish()));
        fs::create_dir_all(&folder).map_err(|error| failed("open the folder for compiled code", &folder, &error))?;
        // What an earlier process did not finish writing.
        for path in entries(&folder).filter(|path| path.extension().is_some_and(|extension| extension == "part")) {
            let _ = fs::remove_file(path);
        }
        Ok(Self { kind, folder, written: AtomicU64::new(0), naming: Mutex::default() })
    }

    /// The code made from the component with the digest `sha256`. A file that cannot be used is removed, and counts as absent.
    pub(crate) fn load(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let path = self.path(sha256);
        if !path.exists() {
            return None;
        }
        match map(engine, &path) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "compiled code that cannot be used is made anew");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps `code` for the component with the digest `sha256`, and maps it.
    pub(crate) fn store(&self, engine: &Engine, sha256: &str, code: &[u8]) -> Result<Component, Failure> {
        let path = self.path(sha256);
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let part = self.folder.join(format!("{sha256}.{}.{number}.part", std::process::id()));
        let written = fs::File::create(&part).and_then(|mut file| file.write_all(code));
        let _named = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written.and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&part);
            failed("keep compiled code", &path, &error)
        })?;
        map(engine, &path)
            .map_err(|error| Failure::new(Reason::Internal, format!("could not map compiled code from {}: {error:#}", path.display())))
    }

    /// Removes the code of components that the base no longer `has`, and that of other versions and settings of such an engine.
    pub(crate) fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let of_none = |path: &PathBuf| name(path).strip_suffix(CODE).is_some_and(|digest| !has(digest));
        for path in entries(&self.folder).filter(of_none) {
            let _named = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = fs::remove_file(path);
        }
        let others = self.folder.parent().into_iter().flat_map(entries);
        for path in others.filter(|path| *path != self.folder && name(path).starts_with(&self.kind)) {
            let _ = fs::remove_dir_all(path);
        }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}{CODE}"))
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[expect(unsafe_code, reason = "the one mapping of a file into this process")]
fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file is one that `Cache::store` made from an engine with this very compatibility hash, in a folder that
    // belongs to the base alone. It was renamed into place when complete, and is never written to again, so what is mapped
    // does not change: a new version replaces the name, not the bytes.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Gives the mapped pages of `component` back until somebody runs it: reading its metadata and bringing one instance up has touched
/// most of them, and an idle module would keep them. They come back from the file, page by page, when they are used.
///
/// Where one page is no longer the file's, nothing is done.
#[expect(unsafe_code, reason = "the one mapping of a file into this process")]
pub(crate) fn rest(component: &Component) {
    let image = component.image_range();
    let (start, size) = (image.start.addr(), image.end.addr().saturating_sub(image.start.addr()));
    if size == 0 || !start.is_multiple_of(rustix::param::page_size()) || !is_the_files(start, size) {
        return;
    }
    // SAFETY: the range is one private mapping of a file that never changes, and every page that is there is still the file's, so
    // each later access finds the very bytes it would have found without this call.
    unsafe {
        libc::madvise(image.start.cast_mut().cast(), size, libc::MADV_DONTNEED);
    }
}

/// Whether no page of this mapping has been written to, as `/proc/self/pagemap` tells it (Linux, admin-guide/mm/pagemap).
fn is_the_files(start: usize, size: usize) -> bool {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const OF_FILE: u64 = 1 << 61;
    let page = rustix::param::page_size();
    let mut entries = vec![0_u8; size.div_ceil(page) * 8];
    let read = fs::File::open("/proc/self/pagemap").and_then(|map| map.read_exact_at(&mut entries, (start / page * 8) as u64));
    read.is_ok()
        && entries.as_chunks::<8>().0.iter().map(|entry| u64::from_ne_bytes(*entry)).all(|entry| {
            // Neither present nor swapped: it was never touched.
            entry & (PRESENT | SWAPPED) == 0 || entry & (SWAPPED | OF_FILE) == OF_FILE
        })
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let reason = if error.kind() == io::ErrorKind::StorageFull { Reason::DiskFull } else { Reason::Internal };
    Failure::new(reason, format!("could not {what} at {}: {error}", path.display()))
}

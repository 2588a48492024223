//! The class paths that loaders in the VM have, by the handles that the loaders know them by.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::Path,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use ark_jvm::{ClassPath, Extracted, Hit};

static SHELF: RwLock<Option<HashMap<i64, Arc<Shelved>>>> = RwLock::new(None);
static NEXT: AtomicI64 = AtomicI64::new(1);

/// A class path with the places of its jars.
pub(crate) struct Shelved {
    /// Whose it is.
    name: Arc<str>,
    pub(crate) path: ClassPath,
    extracted: Extracted,
    /// The files of its jars as URLs have them, once somebody has asked.
    files: Vec<OnceLock<Option<String>>>,
}

/// A class path that stands on the shelf as long as this lives. Its handle is never used again.
#[derive(Debug)]
pub(crate) struct Handle(i64);

impl Handle {
    pub(crate) fn get(&self) -> i64 {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        SHELF.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().remove(&self.0);
    }
}

pub(crate) fn put(name: Arc<str>, path: ClassPath, extracted: Extracted) -> Handle {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    let files = path.jars().iter().map(|_| OnceLock::new()).collect();
    let shelved = Arc::new(Shelved { name, path, extracted, files });
    SHELF.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(handle, shelved);
    Handle(handle)
}

pub(crate) fn get(handle: i64) -> Option<Arc<Shelved>> {
    SHELF.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&handle).map(Arc::clone)
}

/// All class paths but those with these handles, by whose they are.
pub(crate) fn others(but: &[i64]) -> Vec<(Arc<str>, Arc<Shelved>)> {
    let shelf = SHELF.read().unwrap_or_else(PoisonError::into_inner);
    let others = shelf.iter().flatten().filter(|(handle, _)| !but.contains(handle));
    others.map(|(_, shelved)| (Arc::clone(&shelved.name), Arc::clone(shelved))).collect()
}

impl Shelved {
    /// The file of a jar, as it stands in a URL; one inside the package is written out now.
    fn file(&self, jar: usize) -> Option<&str> {
        let known = self.files.get(jar)?.get_or_init(|| {
            let blob = self.path.jars().get(jar)?.archive().blob();
            match self.extracted.path_of(blob) {
                Ok(path) => Some(encoded(&path.to_string_lossy())),
                Err(error) => {
                    tracing::error!("{error}");
                    None
                }
            }
        });
        known.as_deref()
    }

    /// The URL of what was found.
    pub(crate) fn url_of(&self, hit: &Hit<'_>) -> Option<String> {
        let file = self.file(hit.jar_number())?;
        Some(format!("jar:file:{file}!/{}", encoded(&hit.name_in_jar())))
    }

    /// What has this URL.
    pub(crate) fn at(&self, url: &str) -> Option<Hit<'_>> {
        let (file, name) = url.strip_prefix("jar:file:")?.split_once("!/")?;
        let jar = self.files.iter().position(|known| known.get().and_then(Option::as_deref) == Some(file))?;
        self.path.find_in_jar(jar, &decoded(name))
    }

    /// The URL of a jar: of a file where it is to be `real`, else of the place inside the package.
    pub(crate) fn location(&self, jar: usize, real: bool) -> Option<String> {
        let at = self.path.jars().get(jar)?;
        let (origin, root) = (at.origin(), at.root());
        match &origin.inner {
            None if real && !root.is_empty() => Some(format!("jar:file:{}!/{root}", self.file(jar)?)),
            None => Some(format!("file:{}", encoded(&origin.file.to_string_lossy()))),
            Some(_) if real => Some(format!("file:{}", self.file(jar)?)),
            Some(inner) => Some(format!("jar:file:{}!/{}!/", encoded(&origin.file.to_string_lossy()), encoded(inner))),
        }
    }

    /// A private copy of the native library `file`, beside those of nobody else: a VM loads one file for one loader only.
    pub(crate) fn library(&self, handle: i64, file: &str) -> Option<String> {
        let hit = self.path.find(file)?;
        let bytes = hit.bytes().ok()?;
        let folder = std::env::temp_dir().join(format!("arklet-{}-{handle}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        let path = folder.join(Path::new(file).file_name()?);
        std::fs::write(&path, &bytes).ok()?;
        Some(path.to_string_lossy().into_owned())
    }
}

/// A path as it stands in a URL (RFC 3986, section 3.3).
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:@!$&'()*+,;=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The path that stands so in a URL.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

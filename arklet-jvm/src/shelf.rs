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

use ark_jvm::{ClassPath, Extracted, Hit, class_file_name, declared::Imports};

use crate::base::Base;

static SHELF: RwLock<Option<HashMap<i64, Arc<Shelved>>>> = RwLock::new(None);
static NEXT: AtomicI64 = AtomicI64::new(1);

/// A class path with the places of its jars.
pub(crate) struct Shelved {
    /// Whose it is.
    name: Arc<str>,
    pub(crate) path: ClassPath,
    extracted: Extracted,
    ties: Ties,
    /// The files of its jars as URLs have them, once somebody has asked.
    files: Vec<OnceLock<Option<String>>>,
}

/// How a class path is tied to the base's.
#[derive(Clone, Default)]
pub(crate) struct Ties {
    /// Its jars whose classes are the base's, which has the same jars: those of the servlet container that its module joins.
    pub(crate) container: Vec<String>,
    /// What it lacks may come from the base, by these rules.
    pub(crate) imports: Option<(&'static Base, Imports)>,
}

impl Ties {
    /// They as text, equal where they are; empty where there are none.
    pub(crate) fn text(&self) -> String {
        let rules = self.imports.as_ref().map(|(_, rules)| format!("{rules:?}")).unwrap_or_default();
        if self.container.is_empty() { rules } else { format!("{:?} {rules}", self.container) }
    }
}

/// Where a class comes from.
pub(crate) enum Place {
    /// The class path, by the numbers of its jar and its entry.
    Here { jar: usize, entry: u32 },
    /// The base.
    InBase,
    /// Not from here.
    Nowhere,
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

pub(crate) fn put(name: Arc<str>, path: ClassPath, extracted: Extracted, ties: Ties) -> Handle {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    let files = path.jars().iter().map(|_| OnceLock::new()).collect();
    let shelved = Arc::new(Shelved { name, path, extracted, ties, files });
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

    /// Where the class `class`, `org.example.A`, comes from.
    pub(crate) fn place_of(&self, class: &str) -> Place {
        match self.path.find(&class_file_name(class)) {
            Some(hit) if self.is_of_container(&hit) => Place::InBase,
            Some(hit) => Place::Here { jar: hit.jar_number(), entry: hit.number() },
            None => match &self.ties.imports {
                Some((base, rules)) if base.jars.class(class, rules).is_allowed() => Place::InBase,
                Some(_) | None => Place::Nowhere,
            },
        }
    }

    fn is_of_container(&self, hit: &Hit<'_>) -> bool {
        !self.ties.container.is_empty() && self.ties.container.iter().any(|jar| jar == hit.jar().origin().file_name())
    }

    /// The jar of this path that has the class `class`, where that is the container's.
    pub(crate) fn jar_of_container(&self, class: &str) -> Option<String> {
        let hit = self.path.find_class(class)?;
        self.is_of_container(&hit).then(|| hit.jar().origin().file_name().to_owned())
    }

    pub(crate) fn imports(&self) -> Option<&(&'static Base, Imports)> {
        self.ties.imports.as_ref()
    }

    /// What `answer` makes of the `nth` resource with this name, and of the path that has it: first those of its own, then those of the base.
    pub(crate) fn resource<T>(&self, name: &str, nth: usize, answer: impl FnOnce(&Self, &Hit<'_>) -> T) -> Option<T> {
        if let Some(hit) = self.path.find_all(name).nth(nth) {
            return Some(answer(self, &hit));
        }
        let (base, rules) = self.ties.imports.as_ref()?;
        let further = nth - self.path.find_all(name).count();
        let of_base = get(base.handle.get())?;
        let hit = base.jars.resources(name, rules).nth(further)?;
        Some(answer(&of_base, &hit))
    }

    /// The URL of what was found.
    pub(crate) fn url_of(&self, hit: &Hit<'_>) -> Option<String> {
        let file = self.file(hit.jar_number())?;
        Some(format!("jar:file:{file}!/{}", encoded(&hit.name_in_jar())))
    }

    /// What `answer` makes of what has this URL.
    pub(crate) fn at<T>(&self, url: &str, answer: impl FnOnce(&Hit<'_>) -> T) -> Option<T> {
        if let Some(hit) = self.own_at(url) {
            return Some(answer(&hit));
        }
        let (base, _) = self.ties.imports.as_ref()?;
        get(base.handle.get())?.own_at(url).map(|hit| answer(&hit))
    }

    fn own_at(&self, url: &str) -> Option<Hit<'_>> {
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

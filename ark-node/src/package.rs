//! Packages as `npm pack` makes them: a compressed tar archive with everything below one folder.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use crate::package_json::{PackageJson, PackageJsonError};

/// How gzip begins (RFC 1952, 2.3.1).
pub const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
/// The most that a package may unpack to, and the most files in it.
const MOST_BYTES: u64 = 2 << 30;
const MOST_FILES: u64 = 200_000;
const PACKAGE_JSON: &str = "package.json";
/// The largest `package.json`.
const MOST_JSON: u64 = 1 << 20;

/// Why bytes are no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is no archive, or a damaged one.
    #[error("it is no package of npm: {0}")]
    Archive(#[source] io::Error),
    /// Nothing says what it is.
    #[error("it has no package.json below its first folder; pack it by `npm pack` or `arkctl build`")]
    NoPackageJson,
    /// What it says of itself cannot be used.
    #[error(transparent)]
    PackageJson(#[from] PackageJsonError),
    /// It is a bomb, or far too large.
    #[error("it would unpack to more than {MOST_BYTES} bytes or {MOST_FILES} files")]
    TooLarge,
    /// It would write where it has nothing to write.
    #[error("its entry {0:?} would lie outside of the package")]
    Outside(String),
    /// The file system does not take it.
    #[error("{0:?} cannot be written: {1}")]
    Write(PathBuf, #[source] io::Error),
}

/// A file or folder of a package, by its path below the first folder; none for that folder itself.
fn place(path: &Path) -> Result<Option<PathBuf>, PackageError> {
    let outside = || PackageError::Outside(path.display().to_string());
    let mut place = PathBuf::new();
    for part in path.components().filter(|part| !matches!(part, Component::CurDir)).skip(1) {
        match part {
            Component::Normal(name) => place.push(name),
            _ => return Err(outside()),
        }
    }
    if !matches!(path.components().next(), Some(Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    Ok((!place.as_os_str().is_empty()).then_some(place))
}

fn open(path: &Path) -> Result<Archive<impl Read>, PackageError> {
    let file = File::open(path).map_err(PackageError::Archive)?;
    Ok(Archive::new(GzDecoder::new(io::BufReader::new(file)).take(MOST_BYTES)))
}

/// What the package at `path` says of itself.
///
/// # Errors
/// Where it is no package, or says nothing of itself.
pub fn describe(path: &Path) -> Result<PackageJson, PackageError> {
    for entry in open(path)?.entries().map_err(PackageError::Archive)? {
        let entry = entry.map_err(PackageError::Archive)?;
        let name = entry.path().map_err(PackageError::Archive)?.into_owned();
        if place(&name)?.as_deref() == Some(Path::new(PACKAGE_JSON)) {
            let mut text = Vec::new();
            entry.take(MOST_JSON).read_to_end(&mut text).map_err(PackageError::Archive)?;
            return Ok(PackageJson::parse(&text)?);
        }
    }
    Err(PackageError::NoPackageJson)
}

impl PackageJson {
    /// That of the package which is unpacked in `folder`.
    ///
    /// # Errors
    /// Where there is none, or it cannot be used.
    pub fn of(folder: &Path) -> Result<Self, PackageError> {
        let text = fs::read(folder.join(PACKAGE_JSON)).map_err(|_| PackageError::NoPackageJson)?;
        Ok(Self::parse(&text)?)
    }
}

/// Where packages lie unpacked, by their content. A file that several have is there once.
#[derive(Debug, Clone)]
pub struct Store {
    packages: PathBuf,
    files: PathBuf,
    /// The folders that somebody may hold, by the digests of their packages.
    held: Arc<Mutex<HashMap<String, Weak<Path>>>>,
}

impl Store {
    /// The store in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Modules run in their own folders.
        let folder = folder.canonicalize()?;
        let store = Self { packages: folder.join("packages"), files: folder.join("files"), held: Arc::default() };
        fs::create_dir_all(&store.files)?;
        fs::create_dir_all(&store.packages)?;
        // What an earlier process has not finished.
        for entry in fs::read_dir(&store.packages)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(store)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Weak<Path>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, sha256: &str) -> Arc<Path> {
        let mut held = self.held();
        held.get(sha256).and_then(Weak::upgrade).unwrap_or_else(|| {
            let folder: Arc<Path> = self.packages.join(sha256).into();
            held.retain(|_, folder| folder.strong_count() > 0);
            held.insert(sha256.to_owned(), Arc::downgrade(&folder));
            folder
        })
    }

    /// The folder with the package `sha256`, which is at `path`; unpacked now where it was not before. It stays for as long as this is
    /// held. Symbolic links to what is in the package are made last; those to nowhere, and hard ones, are left out.
    ///
    /// # Errors
    /// Where it is no sound package, or has a link that leads out of it, or the disk does not take it. Nothing is left of it then.
    pub fn unpacked(&self, sha256: &str, path: &Path) -> Result<Arc<Path>, PackageError> {
        // Held first, and looked at then: what is there now stays.
        let folder = self.hold(sha256);
        if folder.is_dir() {
            return Ok(folder);
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| PackageError::Write(path, error)
        };
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.packages).map_err(failed(&self.packages))?;
        let (mut bytes, mut files, mut links) = (0, 0, Vec::new());
        let mut archive = open(path)?;
        for entry in archive.entries().map_err(PackageError::Archive)? {
            let mut entry = entry.map_err(PackageError::Archive)?;
            let name = entry.path().map_err(PackageError::Archive)?.into_owned();
            let Some(place) = place(&name)? else { continue };
            let to = unfinished.path().join(&place);
            files += 1;
            bytes += entry.size();
            if bytes > MOST_BYTES || files > MOST_FILES {
                return Err(PackageError::TooLarge);
            }
            match entry.header().entry_type() {
                EntryType::Directory => fs::create_dir_all(&to).map_err(failed(&to))?,
                EntryType::Regular | EntryType::Continuous => {
                    if let Some(parent) = to.parent() {
                        fs::create_dir_all(parent).map_err(failed(parent))?;
                    }
                    let runs = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).map_err(PackageError::Archive)?;
                    self.keep(&content, runs, &to).map_err(failed(&to))?;
                }
                EntryType::Symlink => {
                    if let Some(target) = entry.link_name().map_err(PackageError::Archive)? {
                        links.push((place, target.into_owned()));
                    }
                }
                _ => {}
            }
        }
        link(unfinished.path(), &links)?;
        // To the very end, where it says whether all of it was right.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(PackageError::Archive)?;
        match fs::rename(unfinished.path(), &folder) {
            Ok(()) => {
                let _ = unfinished.keep();
            }
            // Somebody else was faster.
            Err(_) if folder.is_dir() => {}
            Err(error) => return Err(failed(&folder)(error)),
        }
        Ok(folder)
    }

    /// Removes the packages that the base no longer `has` and nobody holds, and the files that none of the others has.
    pub fn tidy(&self, has: &dyn Fn(&str) -> bool) {
        let mut gone = false;
        for entry in entries(&self.packages) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is being made has a dot in front.
            if name.starts_with('.') || has(&name) {
                continue;
            }
            // Nobody is to take for whole what is half gone, this process or a later one.
            let going = self.packages.join(format!("{UNFINISHED}{name}"));
            let _ = fs::remove_dir_all(&going);
            let held = self.held();
            if held.get(&name).is_some_and(|folder| folder.strong_count() > 0) || fs::rename(entry.path(), &going).is_err() {
                continue;
            }
            drop(held);
            gone = true;
            let _ = fs::remove_dir_all(&going);
        }
        // What comes meanwhile and misses a file writes it itself.
        let files = entries(&self.files).filter(|_| gone).flat_map(|folder| entries(&folder.path()));
        for file in files.filter(|file| file.metadata().is_ok_and(|file| file.nlink() == 1)) {
            let _ = fs::remove_file(file.path());
        }
    }

    /// Puts a file of this content at `to`: the one that is there already, under another name.
    fn keep(&self, content: &[u8], runs: bool, to: &Path) -> io::Result<()> {
        let mut hasher = Sha256::new();
        hasher.update([u8::from(runs)]);
        hasher.update(content);
        let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let (folder, file) = hash.split_at(2);
        let kept = self.files.join(folder).join(file);
        let rights = fs::Permissions::from_mode(if runs { 0o555 } else { 0o444 });
        if !kept.is_file() {
            fs::create_dir_all(self.files.join(folder))?;
            let mut unfinished = tempfile::NamedTempFile::new_in(&self.files)?;
            io::Write::write_all(&mut unfinished, content)?;
            // Nobody is to write through one of its names.
            unfinished.as_file().set_permissions(rights.clone())?;
            unfinished.persist(&kept).map_err(|error| error.error)?;
        }
        match fs::hard_link(&kept, to) {
            // An archive may have a name twice; the last one counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(to)?;
                fs::hard_link(&kept, to)
            }
            // A file system without links, or with as many as it allows; or the kept one has gone.
            Err(_) => fs::write(to, content).and_then(|()| fs::set_permissions(to, rights)),
            Ok(()) => Ok(()),
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// Makes links below `root`: path and target of each. Of links that lead through one another, too, none leads out.
fn link(root: &Path, links: &[(PathBuf, PathBuf)]) -> Result<(), PackageError> {
    let outside = |place: &Path| PackageError::Outside(place.display().to_string());
    for (place, target) in links {
        let to = root.join(place);
        let failed = |error| PackageError::Write(to.clone(), error);
        let mut depth = place.components().count().saturating_sub(1);
        for part in target.components() {
            depth = match part {
                Component::Normal(_) => depth + 1,
                Component::CurDir => depth,
                Component::ParentDir => depth.checked_sub(1).ok_or_else(|| outside(place))?,
                Component::RootDir | Component::Prefix(_) => return Err(outside(place)),
            };
        }
        let folder = to.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(failed)?;
        // What was linked before may be on the way.
        if !folder.canonicalize().map_err(failed)?.starts_with(root) {
            return Err(outside(place));
        }
        match symlink(target, &to) {
            // An archive may have a name twice; the file counts.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    for (place, _) in links {
        let to = root.join(place);
        match to.canonicalize() {
            Ok(target) if target.starts_with(root) => {}
            Ok(_) => return Err(outside(place)),
            Err(_) => {
                // It leads nowhere, or round and round; or a link before it on its way has gone.
                let _ = fs::remove_file(&to);
            }
        }
    }
    Ok(())
}

/// How folders beside unpacked packages begin that are being made.
pub const UNFINISHED: &str = ".unfinished-";

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// An archive with these entries: a file with content, or a symbolic link where the content begins with `->`.
    fn packed(entries: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(GzEncoder::new(file.as_file(), Compression::fast()));
        for (name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let (content, target) = match content.strip_prefix("->") {
                Some(target) => ("", Some(target)),
                None => (*content, None),
            };
            header.set_size(content.len() as u64);
            // As an attacker would, past what the library allows.
            let place = &mut header.as_gnu_mut().unwrap().name;
            place[..name.len()].copy_from_slice(name.as_bytes());
            if let Some(target) = target {
                header.set_entry_type(EntryType::Symlink);
                header.set_link_name(target).unwrap();
            }
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        file
    }

    fn unpacked(store: &Store, sha256: &str, entries: &[(&str, &str)]) -> Result<PathBuf, PackageError> {
        store.unpacked(sha256, packed(entries).path()).map(|folder| folder.to_path_buf())
    }

    #[test]
    fn a_file_that_two_packages_have_is_on_disk_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let one = unpacked(&store, "a", &[("package/package.json", "{}"), ("package/node_modules/x/i.js", "same")]).unwrap();
        let two = unpacked(&store, "b", &[("package/package.json", "{ }"), ("package/node_modules/x/i.js", "same")]).unwrap();
        let inode = |package: &Path, file: &str| fs::metadata(package.join(file)).unwrap().ino();
        assert_eq!(inode(&one, "node_modules/x/i.js"), inode(&two, "node_modules/x/i.js"));
        assert_ne!(inode(&one, "package.json"), inode(&two, "package.json"));
        // Unpacked once.
        assert_eq!(store.unpacked("a", Path::new("/nowhere")).unwrap(), one.into());
    }

    #[test]
    fn a_package_that_the_base_has_no_more_goes_with_the_files_that_no_other_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let one = unpacked(&store, "a", &[("package/package.json", "{}"), ("package/node_modules/x/i.js", "same")]).unwrap();
        let two = unpacked(&store, "b", &[("package/package.json", "{ }"), ("package/node_modules/x/i.js", "same")]).unwrap();
        let files = || entries(&folder.path().join("files")).flat_map(|folder| entries(&folder.path())).count();
        store.tidy(&|_| true);
        assert_eq!((one.is_dir(), two.is_dir(), files()), (true, true, 3));
        // Whoever runs in it holds it; and what is being made is nobody's yet.
        let made = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(one.parent().unwrap()).unwrap();
        let held = [store.unpacked("a", Path::new("/nowhere")).unwrap(), store.unpacked("a", Path::new("/nowhere")).unwrap()];
        for held in held {
            store.tidy(&|sha256| sha256 == "b");
            assert_eq!((one.is_dir(), made.path().is_dir(), files()), (true, true, 3));
            drop(held);
        }
        drop(made);
        store.tidy(&|sha256| sha256 == "b");
        assert_eq!((one.is_dir(), two.is_dir(), files()), (false, true, 2));
        assert_eq!(fs::read(two.join("node_modules/x/i.js")).unwrap(), b"same");
        assert_eq!(entries(&folder.path().join("packages")).count(), 1, "half of it is left");
    }

    #[test]
    fn nothing_is_written_or_linked_outside_of_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        for name in ["package/../../out", "../out", "/etc/out", "package/a/../../../../out"] {
            let refused = unpacked(&store, "a", &[(name, "x")]).unwrap_err();
            assert!(matches!(refused, PackageError::Outside(_)), "{name}: {refused}");
        }
        for entries in [
            &[("package/link", "->/etc"), ("package/link/passwd", "x")][..],
            &[("package/link", "->../../out")],
            // Neither leads out by what it says alone.
            &[("package/a/b/f", ""), ("package/link", "->a/b"), ("package/a/b/up", "->.."), ("package/out", "->link/up/../../..")],
            &[("package/a/b/f", ""), ("package/link", "->a/b"), ("package/link/../../../x", "->f")],
        ] {
            let refused = unpacked(&store, "a", entries).unwrap_err();
            assert!(matches!(refused, PackageError::Outside(_)), "{entries:?}: {refused}");
        }
        let entries = [("package/a/f", "x"), ("package/link", "->a"), ("package/round", "->round"), ("package/gone", "->nowhere")];
        let package = unpacked(&store, "b", &entries).unwrap();
        assert_eq!(fs::read_to_string(package.join("link/f")).unwrap(), "x");
        assert!(!package.join("round").is_symlink() && !package.join("gone").is_symlink());
        assert!(!folder.path().join("out").exists());
        // Whatever went wrong is gone.
        assert_eq!(fs::read_dir(folder.path().join("store/packages")).unwrap().count(), 1);
    }

    #[test]
    fn a_package_cut_off_anywhere_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let whole = fs::read(packed(&[("package/package.json", "{}"), ("package/a.js", "1")]).path()).unwrap();
        for length in 0..whole.len() - 8 {
            let file = folder.path().join("cut");
            fs::write(&file, &whole[..length]).unwrap();
            let _ = describe(&file);
            assert!(store.unpacked("cut", &file).is_err(), "{length}");
        }
        assert_eq!(fs::read_dir(folder.path().join("packages")).unwrap().count(), 0);
    }

    #[test]
    fn a_package_says_what_it_is() {
        let named = packed(&[("pkg/README", "x"), ("pkg/package.json", r#"{"name": "a", "dependencies": {"b": "1"}}"#)]);
        let described = describe(named.path()).unwrap();
        assert!(described.has_dependencies());
        assert_eq!(described.manifest().unwrap().name.as_deref(), Some("a"));
        assert!(matches!(describe(packed(&[("a/b", "")]).path()), Err(PackageError::NoPackageJson)));
    }
}

//! A folder as a package: everything in it, the same bytes for the same content.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header, HeaderMode};

/// The folder that packages of npm have everything in.
const INSIDE: &str = "package";
/// What no module needs: what git and tools keep for themselves.
const LEFT_OUT: [&str; 2] = [".git", ".cache"];

/// Writes the folder `folder`, with its `node_modules`, as a package to `to`. A link to what lies in the folder stays a link.
///
/// # Errors
/// Where a file cannot be read or written, or a link leads out of the folder.
pub fn pack(folder: &Path, to: &mut dyn io::Write) -> io::Result<()> {
    pack_with(folder, to, |archive, root| append(archive, root, root))
}

/// Writes `files` of the folder `folder`, and the folder `modules` as its `node_modules`, the same way.
///
/// # Errors
/// The same.
pub fn pack_files(folder: &Path, files: &[PathBuf], modules: Option<&Path>, to: &mut dyn io::Write) -> io::Result<()> {
    pack_with(folder, to, |archive, root| {
        for file in files {
            archive.append_path_with_name(root.join(file), Path::new(INSIDE).join(file))?;
        }
        match modules {
            Some(modules) => {
                let modules = modules.canonicalize()?;
                append(archive, modules.parent().unwrap_or(&modules), &modules)
            }
            None => Ok(()),
        }
    })
}

type Archive<'a> = Builder<GzEncoder<&'a mut dyn io::Write>>;

fn pack_with(folder: &Path, to: &mut dyn io::Write, entries: impl FnOnce(&mut Archive<'_>, &Path) -> io::Result<()>) -> io::Result<()> {
    let mut archive = Builder::new(GzEncoder::new(to, Compression::fast()));
    archive.follow_symlinks(false);
    archive.mode(HeaderMode::Deterministic);
    entries(&mut archive, &folder.canonicalize()?)?;
    archive.into_inner()?.finish()?;
    Ok(())
}

/// Adds what is in `folder`, which is in `root`, in order.
fn append(archive: &mut Archive<'_>, root: &Path, folder: &Path) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let inside = path.strip_prefix(root).unwrap_or(&path);
        let name = Path::new(INSIDE).join(inside);
        if kind.is_dir() && !LEFT_OUT.iter().any(|left_out| entry.file_name() == *left_out) {
            append(archive, root, &path)?;
        } else if kind.is_file() {
            archive.append_path_with_name(&path, &name)?;
        } else if kind.is_symlink() {
            let target = match path.canonicalize() {
                Ok(target) => target,
                // It leads nowhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Ok(target) = target.strip_prefix(root) else {
                return Err(io::Error::other(format!("its link {} leads out of it, to {}", inside.display(), target.display())));
            };
            let mut header = Header::new_gnu();
            header.set_metadata_in_mode(&entry.metadata()?, HeaderMode::Deterministic);
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, &name, relative(inside, target))?;
        }
    }
    Ok(())
}

/// What a link at `from` has to say to lead to `to`, both relative to the same folder.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let ups = from.components().count().saturating_sub(1);
    std::iter::repeat_n(Component::ParentDir.as_os_str(), ups).collect::<PathBuf>().join(to)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{Store, describe};

    fn packed(folder: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn a_folder_is_the_same_package_each_time_and_its_links_lead_where_they_led() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app");
        // As pnpm has it.
        fs::create_dir_all(app.join("node_modules/.pnpm/x@1/node_modules/x")).unwrap();
        fs::write(app.join("package.json"), r#"{"name": "app", "version": "1"}"#).unwrap();
        fs::write(app.join("node_modules/.pnpm/x@1/node_modules/x/index.js"), "x").unwrap();
        symlink(app.join("node_modules/.pnpm/x@1/node_modules/x"), app.join("node_modules/x")).unwrap();
        symlink("nowhere", app.join("dangling")).unwrap();
        let bytes = packed(&app).unwrap();
        assert_eq!(bytes, packed(&app).unwrap());

        let file = folder.path().join("app.tgz");
        fs::write(&file, bytes).unwrap();
        assert_eq!(describe(&file).unwrap().id(), (Some("app"), Some("1")));
        let unpacked = Store::open(&folder.path().join("store")).unwrap().unpacked("a", &file).unwrap();
        fs::remove_dir_all(&app).unwrap();
        assert_eq!(fs::read_to_string(unpacked.join("node_modules/x/index.js")).unwrap(), "x");
        assert!(unpacked.join("node_modules/x").is_symlink() && !unpacked.join("dangling").is_symlink());
    }

    #[test]
    fn a_folder_with_a_link_out_of_it_is_no_package() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app");
        fs::create_dir_all(app.join("node_modules")).unwrap();
        fs::create_dir_all(folder.path().join("shared")).unwrap();
        symlink("../../shared", app.join("node_modules/shared")).unwrap();
        let refused = packed(&app).unwrap_err().to_string();
        assert!(refused.contains("node_modules/shared leads out of it"), "{refused}");
    }
}

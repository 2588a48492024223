//! What npm needs to install the dependencies of a package beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder of what a package depends on.
pub const MODULES: &str = "node_modules";
/// The files that fix the versions of that.
const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// What npm reads besides.
const READ: [&str; 2] = ["package.json", ".npmrc"];

/// Whether the package in `folder` fixes the versions of what it depends on.
#[must_use]
pub fn has_lock(folder: &Path) -> bool {
    LOCKS.iter().any(|lock| folder.join(lock).is_file())
}

/// Copies what npm reads of the package in `from` to the folder `to`.
///
/// # Errors
/// The file that cannot be copied, and why.
pub fn copy_for_npm(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    for file in LOCKS.iter().chain(&READ) {
        let path = from.join(file);
        if path.is_file() {
            fs::copy(&path, to.join(file)).map_err(|error| (path, error))?;
        }
    }
    Ok(())
}

//! Packages of npm, as bases and the command line read them: [`PackageJson`] is what one says of itself, [`describe`] finds that in an
//! archive, [`pack`] makes an archive of a folder, and a [`Store`] unpacks archives, each file once by its content. Nothing runs here.

#![forbid(unsafe_code)]

mod npm;
mod pack;
mod package;
mod package_json;

pub use npm::{MODULES, copy_for_npm, has_lock};
pub use pack::{pack, pack_files};
pub use package::{GZIP, PackageError, Store, UNFINISHED, describe};
pub use package_json::{Isolation, MEMORY_BYTES, PackageJson, PackageJsonError};

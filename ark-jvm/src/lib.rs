//! The parts of a JVM base that need no JVM.

#![deny(unsafe_code)]
mod archive;
mod blob;
mod class_file;
mod class_path;
mod directory;
mod error;
mod inflate;
mod layout;
mod limits;
mod manifest;
mod package;
pub use archive::{Archive, Entry};
pub use blob::{Blob, Digest, Origin};
pub use class_file::{ClassVersionError, HEAD_BYTES, check_version};
pub use class_path::{ClassPath, ClassPathError, Hit, Jar, class_file_name};
pub use error::{ArchiveError, Fault, FolderError};
pub use layout::{ArkBiz, Kind, Layout, LayoutError};
pub use limits::Limits;
pub use manifest::{MANIFEST, Manifest, ManifestError, PackageAttributes};
pub use package::{Libraries, LibrarySet, Package, PackageError};

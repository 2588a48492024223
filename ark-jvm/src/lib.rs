//! The parts of a JVM base that need no JVM.

#![deny(unsafe_code)]
mod archive;
mod blob;
mod directory;
mod error;
mod inflate;
mod limits;
mod manifest;
pub use archive::{Archive, Entry};
pub use blob::{Blob, Digest, Origin};
pub use error::{ArchiveError, Fault, FolderError};
pub use limits::Limits;
pub use manifest::{MANIFEST, Manifest, ManifestError, PackageAttributes};

//! The parts of a JVM base that need no JVM: packages, class paths, library layers, and what a module may see.
//!
//! It runs no Java and knows no JNI: it is given a jar and the feature version of the JVM, and answers where which bytes are.
//! What defines classes, and what keeps class loaders, is written on top of it. It reads files through one memory map per
//! package, and writes only jars that somebody wants a path of ([`Extracted`]).
//!
//! Read in this order: [`Limits`] (what a package may ask for), [`Blob`] and [`Archive`] (a jar, in place, also inside
//! another), [`Manifest`] (what it says of itself), [`Layout`] and [`Package`] (what kind it is, what is its own and what are
//! libraries), [`ClassPath`] (one table over many jars), [`share`] (who shares libraries, and until when), [`options`], [`declared`]
//! (what a SOFAArk module may take from the base), [`BaseJars`] (what the base has for modules), [`why`] (where a class comes from), [`without_exits`] (what a class must not call),
//! [`Extracted`], [`ahead`] (what a layer will load), [`metaspace`] (what loaders use), [`budget`] (whether there is room for one more), [`holders`] (what keeps an
//! object, given a walk of the heap), [`settings`] (where an application says that it answers).
//!
//! ```no_run
//! use std::{path::Path, time::{Duration, Instant}};
//!
//! use ark_jvm::{Limits, Package, share::{Layers, Share}};
//!
//! let package = Package::open(Path::new("/var/lib/arklet/packages/orders.jar"), &Limits::default(), 17)?;
//! let class = package.own().find_class(&package.layout().start_class).ok_or("it was checked")?.bytes()?;
//!
//! let mut layers = Layers::new(Duration::from_secs(600));
//! let acquired = layers.acquire(Share::Module, "orders", "orders:1.0.0", package.libraries().set());
//! if acquired.new {
//!     let libraries = package.libraries().class_path()?; // a class loader over it is the layer
//! }
//! let released = layers.release(acquired.lease, Instant::now());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

pub mod ahead;
mod archive;
mod base;
mod blob;
pub mod budget;
mod class_file;
mod class_path;
pub mod declared;
mod directory;
mod error;
mod exit;
mod extract;
pub mod holders;
mod inflate;
mod layout;
mod limits;
mod manifest;
pub mod metaspace;
pub mod options;
mod package;
pub mod settings;
pub mod share;
pub mod why;

pub use archive::{Archive, Entry};
pub use base::{Apart, BaseJars};
pub use blob::{Blob, Digest, Origin};
pub use class_file::{ClassVersionError, check_version};
pub use class_path::{ClassPath, ClassPathError, Hit, Jar, class_file_name};
pub use error::{ArchiveError, Fault, FolderError};
pub use exit::{EXIT, without_exits};
pub use extract::Extracted;
pub use layout::{ArkBiz, Kind, Layout, LayoutError};
pub use limits::Limits;
pub use manifest::{MANIFEST, Manifest, ManifestError, PackageAttributes};
pub use package::{Libraries, LibrarySet, Package, PackageError};

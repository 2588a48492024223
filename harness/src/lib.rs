//! Real bases, real modules and real load: what the end-to-end tests, the demo and the bench stand on.
//!
//! Everything here drives the binaries as a user does. It is no part of the product, and fails by [`Error`] or by panicking in tests.

#![forbid(unsafe_code)]

pub mod api;
pub mod base;
pub mod controller;
pub mod jvm;
pub mod load;
pub mod node;
pub mod postgres;
mod program;
pub mod samples;

/// Anything that went wrong, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The folder with the built binaries.
///
/// # Errors
/// Where this program does not stand in a target folder.
pub fn bin_dir() -> Result<std::path::PathBuf, Error> {
    let exe = std::env::current_exe()?;
    let folder = exe.ancestors().skip(1).find(|folder| folder.join("arklet").is_file());
    Ok(folder.ok_or("the binary `arklet` is not built; run `cargo build --release --workspace --bins`")?.to_owned())
}

/// The root of the repository.
#[must_use]
pub fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

//! From a crate to a package: the component that cargo builds, with the manifest in it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use ark_model::{Manifest, component};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{cargo::Crate, error::Error, output::Output};

/// What to build, and as what.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Features of the crate, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    pub(crate) features: Vec<String>,
    /// The module's name, in place of the crate's or for a component that has none.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The module's version, likewise.
    #[arg(long = "version", visible_alias = "package-version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
}

/// A package in a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Built {
    /// The module's name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its sha-256, in hex.
    pub(crate) sha256: String,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// How long it took, in milliseconds.
    pub(crate) ms: f64,
}

/// Builds the crate, and writes `<target directory>/ark/<name>-<version>.wasm`.
///
/// # Errors
/// A manifest no base would take, code that does not compile, or a file that cannot be written.
pub(crate) fn build(found: &Crate, options: &Options, output: Output) -> Result<Built, Error> {
    let begun = Instant::now();
    // Before the build: a wrong key should not cost a minute.
    let manifest = found.manifest(options.name.as_deref(), options.version.as_deref())?;
    let component = found.build(&options.features, output)?;
    let bytes = read(&component)?;
    let package = packaged(&bytes, &manifest).map_err(|problem| Error::Package {
        path: component,
        problem,
        hint: Some("see that the crate's dependencies are built for wasm32-wasip2, and none sets another linker".to_owned()),
    })?;
    let (name, version) = (manifest.name.clone().unwrap_or_default(), manifest.version.clone().unwrap_or_default());
    let path = found.target_directory.join("ark").join(format!("{name}-{version}.wasm"));
    write(&path, &package)?;
    Ok(Built {
        name,
        version,
        size: package.len() as u64,
        sha256: sha256(&package),
        path,
        manifest,
        ms: begun.elapsed().as_secs_f64() * 1e3,
    })
}

/// `component` with `manifest` in it.
fn packaged(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(manifest).map_err(|error| error.to_string())?;
    component::with_manifest(component, &json).map_err(|error| error.to_string())
}

/// The manifest of the package at `path`; an empty one where it has none.
///
/// # Errors
/// Bytes that are no component, or a manifest that cannot be read.
pub(crate) fn manifest_of(path: &Path, package: &[u8]) -> Result<Manifest, Error> {
    let wrong =
        |problem: String| Error::Package { path: path.to_owned(), problem, hint: Some("make the package by `arkctl build`".to_owned()) };
    let json = component::manifest(package).map_err(|error| wrong(error.to_string()))?;
    json.map_or_else(
        || Ok(Manifest::default()),
        |json| serde_json::from_slice(json).map_err(|error| wrong(format!("its manifest: {error}"))),
    )
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { doing: "read", path: path.to_owned(), source })
}

/// The sha-256, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Written beside and renamed, so that nobody reads half a package.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "write", path: path.to_owned(), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_package_has_the_manifest_it_was_given_last() {
        let named = |name: &str| Manifest { name: Some(name.to_owned()), ..Manifest::default() };
        let package = packaged(&packaged(COMPONENT, &named("a")).unwrap(), &named("b")).unwrap();
        assert_eq!(manifest_of(Path::new("x"), &package).unwrap(), named("b"));
        assert_eq!(manifest_of(Path::new("x"), COMPONENT).unwrap(), Manifest::default());
    }

    #[test]
    fn a_core_module_is_no_package_and_is_told_its_target() {
        let problem = packaged(b"\0asm\x01\0\0\0", &Manifest::default()).unwrap_err();
        assert!(problem.contains("core module") && problem.contains("wasm32-wasip2"), "{problem}");
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

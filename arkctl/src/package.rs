//! Packages: the files that a base takes, and what they say of themselves.

use std::path::{Path, PathBuf};

use ark_jvm::{Archive, Layout, LayoutError, Limits};
use ark_model::{Manifest, component};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, project::Kind};

/// A package that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl File {
    /// The manifest of the package, whose bytes are `bytes`; an empty one where it has none.
    ///
    /// # Errors
    /// Bytes that are no package of its kind, or a manifest that cannot be read.
    pub(crate) fn manifest(&self, bytes: &[u8]) -> Result<Manifest, Error> {
        match self.kind {
            Kind::Wasm => of_component(&self.path, bytes),
            Kind::Jvm => of_jar(&self.path),
            Kind::Node => of_npm(&self.path),
        }
    }
}

/// The manifest in the component `bytes` from `path`; an empty one where it has none.
pub(crate) fn of_component(path: &Path, bytes: &[u8]) -> Result<Manifest, Error> {
    let wrong =
        |problem: String| Error::Package { path: path.to_owned(), problem, hint: Some("make the package by `arkctl build`".to_owned()) };
    let json = component::manifest(bytes).map_err(|error| wrong(error.to_string()))?;
    json.map_or_else(
        || Ok(Manifest::default()),
        |json| serde_json::from_slice(json).map_err(|error| wrong(format!("its manifest: {error}"))),
    )
}

/// What a base takes from the jar at `path`: the name, version, path and priority of a SOFAArk package, the title and version of
/// any other.
pub(crate) fn of_jar(path: &Path) -> Result<Manifest, Error> {
    // Its text names the file.
    let layout = layout(path).map_err(|error| Error::Jar(Box::new(error)))?;
    let (context_path, priority) = match &layout.kind {
        ark_jvm::Kind::ArkBiz(biz) => (Some(biz.context_path.clone()), Some(biz.priority)),
        ark_jvm::Kind::Boot { .. } | ark_jvm::Kind::Plain => (None, None),
    };
    Ok(Manifest { name: layout.name, version: layout.version, context_path, priority, ..Manifest::default() })
}

/// What a base takes from the package of npm at `path`.
fn of_npm(path: &Path) -> Result<Manifest, Error> {
    let wrong = |problem: String| Error::Package { path: path.to_owned(), problem, hint: Some("pack it by `arkctl build`".to_owned()) };
    let json = ark_node::describe(path).map_err(|error| wrong(error.to_string()))?;
    json.manifest().map_err(|error| wrong(error.to_string()))
}

/// What the jar at `path` is, as a base reads it.
pub(crate) fn layout(path: &Path) -> Result<Layout, LayoutError> {
    let limits = Limits::default();
    Layout::read(&Archive::open(path, &limits)?, &limits)
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { doing: "read", path: path.to_owned(), source })
}

/// The sha-256, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::jar;

    fn in_file(manifest: &str, entries: &[&str]) -> Result<Manifest, Error> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jar");
        std::fs::write(&path, jar(manifest, entries)).unwrap();
        of_jar(&path)
    }

    #[test]
    fn a_jar_is_called_what_its_build_called_it() {
        let boot = "Start-Class: a.A\nSpring-Boot-Version: 3.5.16\nImplementation-Title: orders\nImplementation-Version: 1.2\n";
        let manifest = in_file(boot, &["BOOT-INF/lib/"]).unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("orders"), Some("1.2")));
        assert_eq!(manifest.context_path_of("orders").unwrap(), "/orders");
    }

    #[test]
    fn an_ark_package_says_its_path_too() {
        let biz = "Main-Class: a.A\nArk-Biz-Name: stock\nArk-Biz-Version: 1.0\nweb-context-path: shop/stock\npriority: 5\n";
        let manifest = in_file(biz, &["com/alipay/sofa/ark/biz/mark"]).unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.version.as_deref(), manifest.priority), (Some("stock"), Some("1.0"), Some(5)));
        assert_eq!(manifest.context_path_of("stock").unwrap(), "/shop/stock");
    }

    #[test]
    fn a_jar_that_no_base_would_take_is_refused_with_what_to_do() {
        let error = in_file("Class-Path: x\n", &["a/A.class"]).unwrap_err();
        assert_eq!((error.exit_code(), error.reason()), (1, "PackageInvalid"));
        assert!(error.to_string().contains("a.jar") && error.to_string().contains("repackage"), "{error}");
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

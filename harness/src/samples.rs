//! The sample modules as packages, built as a developer builds them: by `arkctl build`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use ark_model::{Manifest, component};
use serde_json::Value;

use crate::{Error, bin_dir, root};

/// Builds the sample `name`: the first version, or, with its feature `v2`, the second.
///
/// # Errors
/// Where it does not build.
pub fn sample(name: &str, version: u8) -> Result<PathBuf, Error> {
    build(name, if version == 2 { &["v2"] } else { &[] }, if version == 2 { Some("2.0.0") } else { None })
}

/// Builds the sample `name` with `features`, as `version` where one is given.
///
/// # Errors
/// Where it does not build.
pub fn build(name: &str, features: &[&str], version: Option<&str>) -> Result<PathBuf, Error> {
    let mut command = Command::new(bin_dir()?.join("arkctl"));
    command.args(["build", "--output", "json"]).arg(root().join("examples").join(name));
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    if let Some(version) = version {
        command.args(["--package-version", version]);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{name} does not build:\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let built: Value = serde_json::from_slice(&output.stdout)?;
    Ok(built.get("path").and_then(Value::as_str).ok_or("no path")?.into())
}

/// The package at `from` with another manifest, written to `to`.
///
/// # Errors
/// Where `from` is no component, or a file cannot be read or written.
pub fn remade(from: &Path, to: &Path, change: impl FnOnce(&mut Manifest)) -> Result<(), Error> {
    let bytes = std::fs::read(from)?;
    let mut manifest = component::manifest(&bytes)?.map(serde_json::from_slice).transpose()?.unwrap_or_default();
    change(&mut manifest);
    std::fs::write(to, component::with_manifest(&bytes, &serde_json::to_vec(&manifest)?)?)?;
    Ok(())
}

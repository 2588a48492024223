//! The sample modules as packages, built as a developer builds them: by `arkctl build`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use ark_model::{Manifest, component};
use serde_json::Value;

use crate::{Error, bin_dir, root};

/// The sample `name`: its first version, or, with its feature `v2`, its second. Built where there is none newer than its sources.
///
/// # Errors
/// Where it does not build.
pub fn sample(name: &str, version: u8) -> Result<PathBuf, Error> {
    let (features, version): (&[&str], &str) = if version == 2 { (&["v2"], "2.0.0") } else { (&[], "1.0.0") };
    // Several tests of one process ask for the same.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("examples/target"), PathBuf::from);
    let path = target.join("ark").join(format!("{name}-{version}.wasm"));
    let examples = root().join("examples");
    let sources = newest(&examples.join(name))?.max(newest(&examples.join("support"))?).max(newest(&examples.join("Cargo.toml"))?);
    match std::fs::metadata(&path).and_then(|metadata| metadata.modified()) {
        Ok(built) if built > sources => Ok(path),
        _ => build(name, features, Some(version)),
    }
}

/// When the latest change below `path` was.
fn newest(path: &Path) -> Result<SystemTime, Error> {
    let metadata = std::fs::metadata(path)?;
    let mut latest = metadata.modified()?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            latest = latest.max(newest(&entry?.path())?);
        }
    }
    Ok(latest)
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

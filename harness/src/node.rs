//! Bases of Node.js, and their sample applications, packed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, base::Base, bin_dir, root};

/// Whether this machine has what tests and benches of Node.js need: that, and npm for the sample applications.
///
/// # Errors
/// What it has not.
pub fn installed() -> Result<(), Error> {
    for program in ["node", "npm"] {
        let version = Command::new(program).arg("--version").output();
        version.map_err(|error| format!("there is no Node.js (`{program}`): {error}"))?;
    }
    Ok(())
}

/// The package of the sample application `name` as version `version`: its `package.json` says so. Built once.
///
/// # Errors
/// Where there is no such sample, or it does not build.
pub fn package(name: &str, version: &str) -> Result<PathBuf, Error> {
    let folder = root().join("target/node").join(format!("{name}-{version}"));
    fs::create_dir_all(&folder)?;
    // Other tests, in this process and in others, ask for the same.
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()?;
    let package = folder.join(format!("node_modules/.cache/ark/{name}-{version}.tgz"));
    let source = root().join("examples/node").join(name);
    let newest = |folder: &Path| -> Result<std::time::SystemTime, Error> {
        let times = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.modified()?));
        times.collect::<Result<Vec<_>, Error>>()?.into_iter().max().ok_or_else(|| format!("{} is empty", folder.display()).into())
    };
    let newest = newest(&source)?;
    if fs::metadata(&package).and_then(|metadata| metadata.modified()).is_ok_and(|built| built > newest) {
        return Ok(package);
    }
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let json = fs::read_to_string(folder.join("package.json"))?;
    fs::write(folder.join("package.json"), json.replace("\"version\": \"1.0.0\"", &format!("\"version\": \"{version}\"")))?;
    let output = Command::new(bin_dir()?.join("arkctl")).arg("build").current_dir(&folder).output()?;
    if !output.status.success() {
        return Err(format!("{name} does not build:\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(package)
}

/// A base of Node.js in a folder of its own, with these arguments of `nodejslet`.
///
/// # Errors
/// Where it does not come up.
pub fn base(arguments: &[&str]) -> Result<Base, Error> {
    let folder = tempfile::tempdir()?;
    let mut base = base_in(&folder.path().join("data"), arguments)?;
    base.folder = Some(folder);
    Ok(base)
}

/// The same on the data directory `data`.
///
/// # Errors
/// Where it does not come up.
pub fn base_in(data: &Path, arguments: &[&str]) -> Result<Base, Error> {
    let base = Base::launch_by(Command::new(bin_dir()?.join("nodejslet")), data, arguments)?;
    base.wait_ready()?;
    Ok(base)
}

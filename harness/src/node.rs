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
    let files = files(&source)?;
    let times = files.iter().map(|file| Ok(fs::metadata(source.join(file))?.modified()?)).collect::<Result<Vec<_>, Error>>()?;
    let newest = times.into_iter().max().ok_or_else(|| format!("{} is empty", source.display()))?;
    if fs::metadata(&package).and_then(|metadata| metadata.modified()).is_ok_and(|built| built > newest) {
        return Ok(package);
    }
    for file in &files {
        let to = folder.join(file);
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(source.join(file), to)?;
    }
    let json = fs::read_to_string(folder.join("package.json"))?;
    fs::write(folder.join("package.json"), json.replace("\"version\": \"1.0.0\"", &format!("\"version\": \"{version}\"")))?;
    // Whoever builds it has installed what that needs.
    if json.contains("\"build\"") {
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    }
    run(Command::new(bin_dir()?.join("arkctl")).arg("build").env("NEXT_TELEMETRY_DISABLED", "1").current_dir(&folder))?;
    Ok(package)
}

/// The files below `folder`, but for what building it has left.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let (path, name) = (inner.join(entry.file_name()), entry.file_name());
            if entry.file_type()?.is_file() {
                files.push(path);
            } else if !["node_modules", "dist", ".next"].iter().any(|made| name == *made) {
                folders.push(path);
            }
        }
    }
    Ok(files)
}

/// Runs `command` to its end, and answers with what it said.
///
/// # Errors
/// Where it does not end well, with what it said.
pub fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}:\n{said}{complained}", output.status).into());
    }
    Ok(said.into_owned())
}

/// The package of npm with `nodejslet` in it, built of what lies in `nodejslet/js`, the binary and the addon, for this kind of machine.
///
/// # Errors
/// Where npm does not pack it.
pub fn npm_package() -> Result<PathBuf, Error> {
    let (source, to) = (root().join("nodejslet/js"), root().join("target/npm"));
    let folder = to.join("nodejslet");
    fs::create_dir_all(folder.join("bin"))?;
    for file in ["package.json", "index.d.ts", "README.md", "attach.cjs"] {
        fs::copy(source.join(file), folder.join(file))?;
    }
    fs::copy(root().join("LICENSE"), folder.join("LICENSE"))?;
    for (built, packed) in [("nodejslet", "bin/nodejslet"), ("libnodejslet_addon.so", "nodejslet.node")] {
        let (built, packed) = (bin_dir()?.join(built), folder.join(packed));
        // What only debuggers read is most of it.
        if run(Command::new("strip").arg("-o").arg(&packed).arg(&built)).is_err() {
            fs::copy(&built, &packed)?;
        }
    }
    let machine = run(Command::new("node").args(["-p", "process.arch"]))?;
    run(Command::new("npm").args(["pkg", "set", &format!("cpu[0]={}", machine.trim())]).current_dir(&folder))?;
    let said = run(Command::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&to).current_dir(&folder))?;
    let name = said.lines().last().ok_or("npm does not say what it packed")?;
    Ok(to.join(name))
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

//! What the tests have in common.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use harness::{base::Base, node};
use serde_json::{Value, json};

pub(crate) use crate::common::{body, dialled, eventually, get, get_at, nothing_was_lost, report};

/// An order for a sample application.
pub(crate) fn order(name: &str, version: &str) -> Value {
    let package = node::package(name, version).unwrap();
    json!({"id": {"name": name, "version": version}, "url": format!("file://{}", package.display())})
}

/// The same, to be run in this isolation.
pub(crate) fn order_in(isolation: &str, name: &str, version: &str) -> Value {
    let mut order = order(name, version);
    order["options"] = json!({"isolation": isolation});
    order
}

/// An order for an application of these files in `folder`, as it lies there.
pub(crate) fn order_of(folder: &Path, files: &[(&str, &str)]) -> Value {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    json!({"id": {"name": "app", "version": "1"}, "url": format!("file://{}", folder.display())})
}

pub(crate) fn install(base: &Base, order: &Value) {
    if let Err(refused) = base.api.install(order).unwrap() {
        panic!("{}\n{}", refused.error.message, base.log());
    }
}

/// What a module wrote, and what is said of it.
pub(crate) fn log(base: &Base, name: &str, version: &str) -> String {
    base.api.get(&format!("/v1/modules/{name}/{version}/logs")).unwrap().1
}

/// The processes that a process has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether that process runs.
pub(crate) fn is_alive(pid: u32) -> bool {
    // One that has ended and that nobody has asked about is no more than a number.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Makes `folder` a project of these files, in which the package `nodejslet` is installed from its tarball.
pub(crate) fn project(folder: &Path, files: &[(&str, &str)]) {
    static TARBALL: LazyLock<PathBuf> = LazyLock::new(|| node::npm_package().unwrap());
    let own = ("package.json", r#"{"name": "own", "version": "1.0.0", "private": true}"#);
    for (name, content) in files.iter().chain([&own]) {
        fs::write(folder.join(name), content).unwrap();
    }
    node::run(Command::new("npm").args(["install", "--no-audit", "--no-fund"]).arg(&*TARBALL).current_dir(folder)).unwrap();
}

//! The package for npm: its scripts are typed, linted and tested, and it is installed and started as its users do.

use std::{fs, process::Command};

use harness::{base::Base, node};

use crate::support::{body, project};

#[test]
fn the_scripts_are_typed_linted_and_pass_their_own_tests() {
    // In a folder of its own: what npm installs is no part of the sources.
    let folder = harness::root().join("target/npm/check");
    let source = harness::root().join("nodejslet/js");
    fs::create_dir_all(folder.join("test")).unwrap();
    for part in ["", "test"] {
        for entry in fs::read_dir(source.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), folder.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    let lock = fs::read_to_string(source.join("package-lock.json")).unwrap();
    let resolved = lock.lines().filter_map(|line| line.trim().strip_prefix("\"resolved\": \""));
    assert!(resolved.into_iter().all(|url| url.starts_with("https://registry.npmjs.org/")), "it names a registry that others have not");
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["run", "check"], &["test"]] {
        node::run(Command::new("npm").args(arguments).current_dir(&folder)).unwrap();
    }
}

#[test]
fn installed_from_its_tarball_npx_starts_a_base() {
    let folder = tempfile::tempdir().unwrap();
    let app = "require('http').createServer((_, response) => response.end('own')).listen(3000)";
    let typed =
        "import type { Ark, Handler } from 'nodejslet';\nexport const ark: Ark = { isolation: 'worker' };\nexport type H = Handler;\n";
    project(folder.path(), &[("app.js", app), ("typed.ts", typed)]);
    assert!(folder.path().join("node_modules/nodejslet/index.d.ts").is_file());
    let mut npx = Command::new("npx");
    npx.args(["nodejslet"]).current_dir(folder.path());
    let mut base = Base::launch_by(npx, &folder.path().join("data"), &["app.js"]).unwrap();
    base.wait_ready().unwrap();
    assert_eq!(body(&base, "/"), "own");
    // npx has started it: what is asked to end is that.
    let command = format!("nodejslet --data-dir {}.*", folder.path().join("data").display());
    let pids = node::run(Command::new("pgrep").args(["-f", "-x", &command]));
    for pid in pids.unwrap().lines() {
        node::run(Command::new("kill").args(["-TERM", pid])).unwrap();
    }
    base.wait().unwrap();
}

//! Client libraries of two other languages work against the controller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::{path::Path, process::Command};

use support::Fleet;

/// Runs `command`, and gives what it printed; none, with a message, where it fails for want of a registry.
fn installed(command: &mut Command) -> bool {
    let done = command.output();
    let ok = done.as_ref().is_ok_and(|output| output.status.success());
    if !ok {
        eprintln!("skipped: {command:?} did not succeed, so there is nothing to test with: {done:?}");
    }
    ok
}

fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_javascript_client_makes_watches_and_removes() {
    let fleet = Fleet::open();
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "@kubernetes/client-node@1.1.2"];
    if !installed(Command::new("npm").args(install).current_dir(fleet.path())) {
        return;
    }
    // A module is found from where the script is.
    let here = fleet.path().join("client.mjs");
    std::fs::copy(script("client.mjs"), &here).unwrap();
    let said = printed(Command::new("node").arg(&here).arg(fleet.path().join("kubeconfig")));
    assert_eq!(said, "replicas=2 gone=404\n");
}

#[test]
fn the_python_client_makes_watches_and_removes() {
    let fleet = Fleet::open();
    let target: &Path = &fleet.path().join("python");
    if !installed(Command::new("python3").args(["-m", "pip", "install", "-q", "kubernetes==32.0.1", "--target"]).arg(target)) {
        return;
    }
    let said = printed(Command::new("python3").env("PYTHONPATH", target).arg(script("client.py")).arg(fleet.path().join("kubeconfig")));
    assert_eq!(said, "replicas=2 gone=404 events=0\n");
}

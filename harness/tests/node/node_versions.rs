//! Every Node.js from 20 on: beside the one on the `PATH`, those that are current, from npm's registry.

use std::{fs, path::PathBuf, process::Command};

use ark_model::{Reason, VerdictState};
use harness::{base::Base, node};

use crate::{
    node_attached::{APP, attached_by},
    support::{body, eventually, get, install, order_in, order_of, project},
};

/// One that does not take types off.
const WITH_TYPES: &str = "20.20.2";

/// The `node` of that version.
fn node_of(version: &str) -> PathBuf {
    let machine = node::run(Command::new("node").args(["-p", "process.arch"])).unwrap();
    let package = format!("node-linux-{}", machine.trim());
    let folder = harness::root().join("target/npm").join(format!("node-{version}"));
    fs::create_dir_all(&folder).unwrap();
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(format!("{package}@{version}"));
    node::run(&mut npm).unwrap();
    folder.join("node_modules").join(package).join("bin/node")
}

fn run(version: &str) {
    let program = node_of(version);
    let base = node::base(&["--node", program.to_str().unwrap()]).unwrap();
    for isolation in ["process", "worker"] {
        install(&base, &order_in(isolation, "shop", "1.0.0"));
        assert_eq!(body(&base, "/shop/version"), "v1.0.0");
        install(&base, &order_in(isolation, "shop", "2.0.0"));
        assert_eq!(body(&base, "/shop/version"), "v2.0.0");
        let retired = base.api.uninstall("shop", "2.0.0").unwrap().unwrap();
        assert_eq!(retired.verdict.state, VerdictState::Unloaded, "{isolation} on {version}: {retired:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let typed = typed(&folder.join("typed"));
    let takes_types_off = version != WITH_TYPES;
    if takes_types_off {
        install(&base, &typed);
        assert_eq!(body(&base, "/app/"), "typed");
    } else {
        let refused = base.api.install(&typed).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, Reason::StartFailed);
        assert!(refused.message.contains("--node"), "{}", refused.message);
    }

    project(folder, &[("app.js", APP)]);
    let base = Base::spawn(attached_by(&program, folder, "app.js"), &folder.join("data")).unwrap();
    base.wait_ready().unwrap();
    eventually("the gateway knows the application", || (get(&base, "/x").1 == "own /x").then_some(()));
    install(&base, &order_in("process", "menu", "1.0.0"));
    assert_eq!(body(&base, "/menu/version"), "v1.0.0");
}

/// An order for an application in TypeScript, of which its types are only taken off.
fn typed(folder: &std::path::Path) -> serde_json::Value {
    let json = ("package.json", r#"{"name": "app", "version": "1", "type": "module", "main": "app.ts"}"#);
    let app = "const fetch = (request: Request): Response => new Response('typed'); export default { fetch };";
    order_of(folder, &[json, ("app.ts", app)])
}

#[test]
fn node_22_hosts_modules_is_a_base_and_takes_types_off() {
    run("22.23.5");
}

#[test]
fn node_24_hosts_modules_is_a_base_and_takes_types_off() {
    run("24.22.3");
}

#[test]
fn node_26_hosts_modules_is_a_base_and_takes_types_off() {
    run("26.12.1");
}

#[test]
fn node_20_hosts_modules_is_a_base_and_refuses_types_with_a_hint() {
    run(WITH_TYPES);
}

//! What the tests have in common.

use harness::{base::Base, node};
use serde_json::{Value, json};

pub(crate) use crate::common::{body, dialled, eventually, get, nothing_was_lost, report};

/// An order for a sample application.
pub(crate) fn order(name: &str, version: &str) -> Value {
    let package = node::package(name, version).unwrap();
    json!({"id": {"name": name, "version": version}, "url": format!("file://{}", package.display())})
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

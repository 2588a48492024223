//! What the tests have in common.

use std::time::{Duration, Instant};

use harness::{base::Base, node};
use serde_json::{Value, json};

/// For whatever is waited for: far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it did not come about: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

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

/// Status and body.
pub(crate) fn get(base: &Base, path: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(PATIENCE)).build();
    let mut response = ureq::Agent::from(config).get(format!("http://{}{path}", base.gateway)).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// The body, which has to come with 200.
pub(crate) fn body(base: &Base, path: &str) -> String {
    let (status, body) = get(base, path);
    assert_eq!(status, 200, "{path}: {body}\n{}", base.log());
    body
}

/// What a module wrote, and what is said of it.
pub(crate) fn log(base: &Base, name: &str, version: &str) -> String {
    base.api.get(&format!("/v1/modules/{name}/{version}/logs")).unwrap().1
}

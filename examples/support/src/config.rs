//! Settings that were granted to the module, by `wasi:config/store`.

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "configured", generate_all });
}

use bindings::wasi::config::store;

/// The setting `key`; `None` when it was not granted.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    store::get(key).ok().flatten()
}

/// Every setting, or nothing when they cannot be read.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}

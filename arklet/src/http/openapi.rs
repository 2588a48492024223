//! The description of the API, made from its handlers and types, and checked in as `openapi.json`.

use utoipa::OpenApi;

use super::v1;

/// The typed API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "arklet",
        description = "The agent of a base. Beside these calls: `POST /<command>` for the commands of the wire (see docs/compatibility.md), \
                       `GET /metrics`, `GET /healthz`, `GET /readyz`."
    ),
    paths(
        v1::base,
        v1::report,
        v1::list,
        v1::install,
        v1::prepare,
        v1::module,
        v1::why,
        v1::uninstall,
        v1::activate,
        v1::logs,
        v1::cancel,
        v1::upload,
        v1::routes,
        v1::verdicts,
        v1::cost_of_holders,
        v1::holders
    )
)]
#[cfg_attr(not(test), expect(dead_code, reason = "what it describes is checked in"))]
struct Description;

/// The checked-in description.
pub(super) const CHECKED_IN: &str = include_str!("../../openapi.json");

#[cfg(test)]
mod tests {
    use super::*;

    /// Made anew with `UPDATE_OPENAPI=1 cargo test --release -p arklet openapi`.
    #[test]
    fn the_checked_in_description_is_that_of_the_code() {
        let made = Description::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), &made).unwrap();
        } else {
            assert!(made == CHECKED_IN, "openapi.json is out of date; make it anew with UPDATE_OPENAPI=1");
        }
    }
}

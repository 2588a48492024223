//! What is in stock, read-only: `GET /items` and `GET /items/{sku}`.
//!
//! Each request gets a fresh instance, so there is nothing to remember: the stock is part of the program.

// Elsewhere than on its target nothing but the tests calls the handler.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod stock;

use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use support::reply;

const VERSION: &str = if cfg!(feature = "v2") { "2.0.0" } else { env!("CARGO_PKG_VERSION") };

support::export!(handle, body_limit: 4 << 10);

#[allow(clippy::needless_pass_by_value, reason = "a handler owns its request")]
fn handle(request: Request<Vec<u8>>) -> Response<Vec<u8>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::error(StatusCode::METHOD_NOT_ALLOWED, "the inventory is only read: use GET");
    }
    match request.uri().path() {
        "/" => reply::json(StatusCode::OK, &json!({ "module": "inventory", "version": VERSION, "try": ["/items", "/items/TEA-1"] })),
        "/health" => reply::json(StatusCode::OK, &json!({ "status": "up" })),
        "/items" => reply::json(StatusCode::OK, &json!({ "version": VERSION, "items": stock::ITEMS })),
        path => match path.strip_prefix("/items/") {
            Some(sku) => item(sku),
            None => reply::error(StatusCode::NOT_FOUND, "nothing here: try /items"),
        },
    }
}

fn item(sku: &str) -> Response<Vec<u8>> {
    match stock::find(sku) {
        Some(item) => reply::json(StatusCode::OK, item),
        None => reply::error(StatusCode::NOT_FOUND, format!("no item {sku:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn asked(method: Method, path: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(Vec::new()).unwrap();
        let response = handle(request);
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    #[test]
    fn the_list_has_every_item_under_its_version() {
        let (status, list) = asked(Method::GET, "/items");
        assert_eq!(status, StatusCode::OK);
        assert_eq!(list["version"], VERSION);
        assert_eq!(list["items"].as_array().unwrap().len(), stock::ITEMS.len());
    }

    #[test]
    fn an_item_is_found_by_its_sku_and_has_a_warehouse_from_the_second_version_on() {
        let (status, item) = asked(Method::GET, "/items/TEA-1");
        assert_eq!((status, &item["sku"]), (StatusCode::OK, &Value::from("TEA-1")));
        assert_eq!(item.get("warehouse").is_some(), cfg!(feature = "v2"));
    }

    #[test]
    fn an_unknown_item_is_not_found() {
        assert_eq!(asked(Method::GET, "/items/NONE").0, StatusCode::NOT_FOUND);
        assert_eq!(asked(Method::GET, "/items/").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_stock_cannot_be_written() {
        assert_eq!(asked(Method::DELETE, "/items/TEA-1").0, StatusCode::METHOD_NOT_ALLOWED);
    }
}

//! Takes orders: `POST /orders` checks one, asks the inventory through the base, and answers with its price.
//!
//! It shows validation, a call to another module, and a setting. Nothing is kept: each request has a fresh
//! instance, and a module that keeps something gives it to a store.

// Elsewhere than on its target nothing but the tests calls the handler.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod inventory;
mod order;
mod pricing;

use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use support::reply;

use crate::inventory::{InventoryError, Item};
use crate::order::{MAX_QUANTITY, MAX_SKU, Order, Problem, problem};

const VERSION: &str = if cfg!(feature = "v2") { "2.0.0" } else { env!("CARGO_PKG_VERSION") };

support::export!(|request| handle(&request, inventory::ask), body_limit: 64 << 10);

/// Answers `request`; `ask` finds an item by its SKU, given the headers to pass on.
fn handle(request: &Request<Vec<u8>>, ask: impl FnOnce(&str, &HeaderMap) -> Result<Option<Item>, InventoryError>) -> Response<Vec<u8>> {
    match (request.uri().path(), request.method()) {
        ("/", &Method::GET) => reply::json(StatusCode::OK, &json!({ "module": "orders", "version": VERSION, "try": ["/orders/schema"] })),
        ("/health", &Method::GET) => reply::json(StatusCode::OK, &json!({ "status": "up" })),
        ("/orders/schema", &Method::GET) => reply::json(StatusCode::OK, &schema()),
        ("/orders", &Method::POST) => place(request, ask),
        ("/orders", _) => only("POST"),
        ("/" | "/health" | "/orders/schema", _) => only("GET"),
        _ => reply::error(StatusCode::NOT_FOUND, "nothing here: POST an order to /orders, its schema is at /orders/schema"),
    }
}

fn place(request: &Request<Vec<u8>>, ask: impl FnOnce(&str, &HeaderMap) -> Result<Option<Item>, InventoryError>) -> Response<Vec<u8>> {
    if !is_json(request.headers()) {
        return reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "an order is sent with content-type: application/json");
    }
    let order = match Order::parse(request.body()) {
        Ok(order) => order,
        Err(problems) => return refused(&problems),
    };
    match ask(&order.sku, &passed_on(request.headers())) {
        Ok(Some(item)) if item.in_stock >= order.quantity => reply::json(StatusCode::CREATED, &pricing::price(order, item.price_cents)),
        Ok(Some(item)) => reply::json(
            StatusCode::CONFLICT,
            &json!({ "error": "not enough in stock", "sku": order.sku, "quantity": order.quantity, "inStock": item.in_stock }),
        ),
        Ok(None) => refused(&[problem("sku", format!("there is no item {:?}", order.sku))]),
        Err(reason) => reply::error(StatusCode::BAD_GATEWAY, reason.to_string()),
    }
}

fn refused(problems: &[Problem]) -> Response<Vec<u8>> {
    reply::json(StatusCode::BAD_REQUEST, &json!({ "errors": problems }))
}

fn only(method: &'static str) -> Response<Vec<u8>> {
    let mut response = reply::error(StatusCode::METHOD_NOT_ALLOWED, format!("use {method}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// What makes the call to the inventory part of the same trace.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    ["traceparent", "tracestate", "x-request-id"]
        .into_iter()
        .filter_map(|name| Some((HeaderName::from_static(name), headers.get(name)?.clone())))
        .collect()
}

fn schema() -> serde_json::Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "order",
        "type": "object",
        "required": ["sku", "quantity"],
        "additionalProperties": false,
        "properties": {
            "sku": { "type": "string", "pattern": format!("^[A-Z0-9-]{{1,{MAX_SKU}}}$") },
            "quantity": { "type": "integer", "minimum": 1, "maximum": MAX_QUANTITY },
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const CUPS: Item = Item { in_stock: 12, price_cents: 950 };

    fn posted(content_type: &str, body: &str, item: Result<Option<Item>, InventoryError>) -> (StatusCode, Value) {
        let request = Request::post("/orders").header(CONTENT_TYPE, content_type).header("traceparent", "00-1").header("cookie", "secret");
        let response = handle(&request.body(body.as_bytes().to_vec()).unwrap(), |sku, headers| {
            assert_eq!(sku, "CUP-1");
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["traceparent"]);
            item
        });
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    fn ordered(quantity: u32, item: Result<Option<Item>, InventoryError>) -> (StatusCode, Value) {
        posted("application/json; charset=utf-8", &format!(r#"{{"sku":"CUP-1","quantity":{quantity}}}"#), item)
    }

    #[test]
    fn an_order_of_what_is_in_stock_is_created_with_its_price() {
        let (status, order) = ordered(12, Ok(Some(CUPS)));
        assert_eq!(status, StatusCode::CREATED);
        let (total, pricing) = if cfg!(feature = "v2") { (10_260, "v2") } else { (11_400, "v1") };
        assert_eq!((&order["sku"], &order["totalCents"], &order["pricing"]), (&"CUP-1".into(), &total.into(), &pricing.into()));
    }

    #[test]
    fn an_order_of_more_than_is_in_stock_is_a_conflict() {
        let (status, answer) = ordered(13, Ok(Some(CUPS)));
        assert_eq!((status, &answer["inStock"]), (StatusCode::CONFLICT, &12.into()));
    }

    #[test]
    fn an_order_of_what_is_not_kept_names_the_field() {
        let (status, answer) = ordered(1, Ok(None));
        assert_eq!((status, &answer["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &"sku".into()));
    }

    #[test]
    fn an_inventory_that_fails_is_a_bad_gateway() {
        assert_eq!(ordered(1, Err(InventoryError::Status(StatusCode::SERVICE_UNAVAILABLE))).0, StatusCode::BAD_GATEWAY);
    }

    #[test]
    fn a_bad_order_is_told_what_is_wrong_before_the_inventory_is_asked() {
        let (status, answer) = posted("application/json", r#"{"sku":"x"}"#, Ok(None));
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["errors"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn another_content_type_is_refused() {
        assert_eq!(posted("text/plain", "{}", Ok(None)).0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        let request = Request::get("/orders").body(Vec::new()).unwrap();
        let response = handle(&request, |_, _| Ok(None));
        assert_eq!((response.status(), &response.headers()[ALLOW]), (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("POST")));
    }
}

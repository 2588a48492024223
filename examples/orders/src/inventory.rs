//! The other module: what it says of an item, and how to ask it.

use http::{Response, StatusCode};
use serde::Deserialize;

/// What the inventory knows of an item, as far as an order needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) in_stock: u32,
    pub(crate) price_cents: u32,
}

/// Why the inventory gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InventoryError {
    /// It answered with something else.
    #[error("the inventory answered with status {0}")]
    Status(StatusCode),
    /// It answered with what is no item.
    #[error("the inventory answered with what is no item: {0}")]
    Body(#[from] serde_json::Error),
    /// It did not answer.
    #[cfg(target_family = "wasm")]
    #[error("the inventory did not answer: {0}")]
    Unreachable(#[from] support::outgoing::GetError),
    /// Where it should be is no address.
    #[cfg(target_family = "wasm")]
    #[error("the inventory's address {0:?} is not a URL: set inventory-url")]
    Address(String),
}

/// The item in the inventory's answer; `None` when there is none of that SKU.
pub(crate) fn item_in(answer: &Response<Vec<u8>>) -> Result<Option<Item>, InventoryError> {
    match answer.status() {
        StatusCode::OK => Ok(Some(serde_json::from_slice(answer.body())?)),
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(InventoryError::Status(status)),
    }
}

/// Asks the inventory for the item `sku`, which is a [`crate::order::Order`]'s. Its address is the setting
/// `inventory-url`, or the environment's `INVENTORY_URL`, or where a base on this machine has it by default.
#[cfg(target_family = "wasm")]
pub(crate) fn ask(sku: &str, headers: &http::HeaderMap) -> Result<Option<Item>, InventoryError> {
    use std::time::Duration;

    const DEFAULT_URL: &str = "http://127.0.0.1:8080/inventory";
    const PATIENCE: Duration = Duration::from_secs(2);
    const BODY_LIMIT: usize = 64 << 10;

    let base =
        support::config::get("inventory-url").or_else(|| std::env::var("INVENTORY_URL").ok()).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let url = format!("{}/items/{sku}", base.trim_end_matches('/'));
    let url = url.parse().map_err(|_| InventoryError::Address(base))?;
    item_in(&support::outgoing::get(&url, headers, PATIENCE, BODY_LIMIT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: StatusCode, body: &str) -> Result<Option<Item>, InventoryError> {
        let mut answer = Response::new(body.as_bytes().to_vec());
        *answer.status_mut() = status;
        item_in(&answer)
    }

    #[test]
    fn an_item_is_read_whatever_else_a_later_version_says_of_it() {
        let item = answered(StatusCode::OK, r#"{"sku":"A","name":"a","inStock":3,"priceCents":950,"warehouse":"north"}"#).unwrap();
        assert_eq!(item, Some(Item { in_stock: 3, price_cents: 950 }));
    }

    #[test]
    fn no_such_item_is_an_answer_and_everything_else_is_none() {
        assert_eq!(answered(StatusCode::NOT_FOUND, "").unwrap(), None);
        assert!(matches!(answered(StatusCode::SERVICE_UNAVAILABLE, ""), Err(InventoryError::Status(StatusCode::SERVICE_UNAVAILABLE))));
        assert!(matches!(answered(StatusCode::OK, "[]"), Err(InventoryError::Body(_))));
    }
}

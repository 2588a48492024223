//! An order, and what is wrong with it. All problems are told at once, each with the field it is in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most pieces that one order may ask for.
pub(crate) const MAX_QUANTITY: u32 = 1_000;
/// The longest SKU, in characters.
pub(crate) const MAX_SKU: usize = 32;

/// An order whose fields are all right in themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// 1 to [`MAX_SKU`] of `A`–`Z`, `0`–`9` and `-`: safe in a path as it stands.
    pub(crate) sku: String,
    /// 1 to [`MAX_QUANTITY`].
    pub(crate) quantity: u32,
}

/// What is wrong, and where. The field is empty for the document as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) field: String,
    pub(crate) problem: String,
}

/// A problem of `field`.
pub(crate) fn problem(field: &str, problem: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), problem: problem.into() }
}

impl Order {
    /// The order that `body` is, or everything that keeps it from being one.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Vec<Problem>> {
        let fields: Map<String, Value> = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(vec![problem("", "must be a JSON object")]),
            Err(reason) => return Err(vec![problem("", format!("is not JSON: {reason}"))]),
        };
        let mut problems: Vec<_> = fields
            .keys()
            .filter(|key| !matches!(key.as_str(), "sku" | "quantity"))
            .map(|key| problem(key, "is not a field of an order"))
            .collect();
        let sku = sku(fields.get("sku")).map_err(|what| problems.push(problem("sku", what)));
        let quantity = quantity(fields.get("quantity")).map_err(|what| problems.push(problem("quantity", what)));
        match (sku, quantity) {
            (Ok(sku), Ok(quantity)) if problems.is_empty() => Ok(Self { sku, quantity }),
            _ => Err(problems),
        }
    }
}

fn sku(value: Option<&Value>) -> Result<String, String> {
    let sku = value.ok_or("is missing")?.as_str().ok_or("must be a string")?;
    let plain = sku.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'-'));
    if (1..=MAX_SKU).contains(&sku.len()) && plain { Ok(sku.to_owned()) } else { Err(format!("must be 1 to {MAX_SKU} of A-Z, 0-9 and -")) }
}

fn quantity(value: Option<&Value>) -> Result<u32, String> {
    let whole = value.ok_or("is missing")?.as_u64().and_then(|quantity| u32::try_from(quantity).ok());
    whole.filter(|quantity| (1..=MAX_QUANTITY).contains(quantity)).ok_or_else(|| format!("must be a whole number from 1 to {MAX_QUANTITY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields_of(body: &str) -> Vec<String> {
        Order::parse(body.as_bytes()).unwrap_err().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_plain_order_is_taken() {
        let order = Order::parse(br#"{"sku":"TEA-1","quantity":1000}"#).unwrap();
        assert_eq!(order, Order { sku: "TEA-1".to_owned(), quantity: 1000 });
    }

    #[test]
    fn all_problems_are_told_at_once() {
        assert_eq!(fields_of("{}"), ["sku", "quantity"]);
        assert_eq!(fields_of(r#"{"sku":1,"quantity":"2","colour":"red"}"#), ["colour", "sku", "quantity"]);
    }

    #[test]
    fn a_quantity_outside_its_range_is_refused() {
        for quantity in ["0", "-1", "1001", "1.5", "4294967297", "null"] {
            assert_eq!(fields_of(&format!(r#"{{"sku":"A","quantity":{quantity}}}"#)), ["quantity"], "{quantity} was taken");
        }
    }

    #[test]
    fn a_sku_that_could_lead_elsewhere_is_refused() {
        for sku in ["", "../x", "a", "A B", "A?b", "Ä", &"A".repeat(MAX_SKU + 1)] {
            assert_eq!(fields_of(&format!(r#"{{"sku":"{sku}","quantity":1}}"#)), ["sku"], "{sku:?} was taken");
        }
    }

    #[test]
    fn what_is_no_object_is_a_problem_of_the_document() {
        for body in ["", "[]", "{", "\u{0}"] {
            assert_eq!(fields_of(body), [""], "{body:?} was taken");
        }
    }
}

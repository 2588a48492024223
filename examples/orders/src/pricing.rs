//! What an order costs. This is where the two versions differ: the second gives a discount.

use serde::Serialize;

use crate::order::Order;

/// The discount, in hundredths, on orders of at least [`DISCOUNT_FROM`] pieces.
const DISCOUNT_PERCENT: u64 = if cfg!(feature = "v2") { 10 } else { 0 };
const DISCOUNT_FROM: u32 = 10;

/// An order with its price. Amounts are hundredths of a euro.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Priced {
    #[serde(flatten)]
    pub(crate) order: Order,
    pub(crate) price_cents: u64,
    pub(crate) discount_cents: u64,
    pub(crate) total_cents: u64,
    /// By which rules.
    pub(crate) pricing: &'static str,
}

/// `order` at `price_cents` for one piece. A discount is rounded down to a whole cent.
pub(crate) fn price(order: Order, price_cents: u32) -> Priced {
    // Both factors have 32 bits, so neither product can overflow 64.
    let full = u64::from(price_cents) * u64::from(order.quantity);
    let discount_cents =
        if order.quantity >= DISCOUNT_FROM { full / 100 * DISCOUNT_PERCENT + full % 100 * DISCOUNT_PERCENT / 100 } else { 0 };
    Priced {
        order,
        price_cents: price_cents.into(),
        discount_cents,
        total_cents: full - discount_cents,
        pricing: if cfg!(feature = "v2") { "v2" } else { "v1" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priced(quantity: u32, price_cents: u32) -> (u64, u64) {
        let priced = price(Order { sku: "A".to_owned(), quantity }, price_cents);
        (priced.discount_cents, priced.total_cents)
    }

    #[test]
    fn a_small_order_costs_its_pieces() {
        assert_eq!(priced(9, 690), (0, 6_210));
    }

    #[test]
    fn a_large_order_has_a_discount_from_the_second_version_on() {
        assert_eq!(priced(10, 695), if cfg!(feature = "v2") { (695, 6_255) } else { (0, 6_950) });
        assert_eq!(priced(11, 99), if cfg!(feature = "v2") { (108, 981) } else { (0, 1_089) });
    }

    #[test]
    fn the_dearest_order_does_not_overflow() {
        let (discount, total) = priced(u32::MAX, u32::MAX);
        assert_eq!(u128::from(discount) + u128::from(total), u128::from(u32::MAX) * u128::from(u32::MAX));
    }
}

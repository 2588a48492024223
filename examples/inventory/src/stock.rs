//! The stock itself.

use serde::Serialize;

/// One item as the inventory shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    /// Pieces that can be ordered.
    pub(crate) in_stock: u32,
    /// Price of one piece, in hundredths of a euro.
    pub(crate) price_cents: u32,
    /// Where it lies: new in the second version.
    #[cfg(feature = "v2")]
    pub(crate) warehouse: &'static str,
}

macro_rules! items {
    ($($sku:literal, $name:literal, $in_stock:literal, $price_cents:literal, $warehouse:literal;)*) => {
        /// Everything in stock, by SKU.
        pub(crate) const ITEMS: &[Item] = &[$(Item {
            sku: $sku,
            name: $name,
            in_stock: $in_stock,
            price_cents: $price_cents,
            #[cfg(feature = "v2")]
            warehouse: $warehouse,
        },)*];
    };
}

items! {
    "CUP-1", "Cup, porcelain", 12, 950, "north";
    "KETTLE-1", "Kettle, 1.2 l", 3, 4_900, "north";
    "POT-1", "Pot, cast iron", 0, 6_450, "south";
    "TEA-1", "Tea, green, 100 g", 250, 690, "south";
    "TEA-2", "Tea, black, 100 g", 180, 540, "south";
}

/// The item of this SKU.
pub(crate) fn find(sku: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.sku == sku)
}

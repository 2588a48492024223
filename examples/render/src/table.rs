//! Comma-separated values as a table.

use std::fmt::Write as _;

use minijinja::HtmlEscape;

/// The example.
pub(crate) const CSV: &str = "Item,Pieces,Price\nCup,12,9.50\nKettle,3,49.00\n\"Tea, green\",250,6.90\n";

/// An HTML table of `csv`, whose first line is its head.
pub(crate) fn html(csv: &[u8]) -> Result<String, csv::Error> {
    let mut rows = csv::Reader::from_reader(csv);
    let mut table = String::from("<table>\n");
    row(&mut table, "th", rows.headers()?);
    for record in rows.records() {
        row(&mut table, "td", &record?);
    }
    table.push_str("</table>\n");
    Ok(table)
}

fn row(table: &mut String, cell: &str, values: &csv::StringRecord) {
    table.push_str("<tr>");
    for value in values {
        // Writing to a string cannot fail.
        let _ = write!(table, "<{cell}>{}</{cell}>", HtmlEscape(value));
    }
    table.push_str("</tr>\n");
}

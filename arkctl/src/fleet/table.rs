//! Tables as the server makes them: it says which columns matter, here they are laid out.
//!
//! Format: <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>.

use anstyle::Style;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    style,
    table::{Cell, Table, cell, figure},
};

/// A table of the server.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rows {
    column_definitions: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    /// Those above 0 are for who wants to see more.
    #[serde(default)]
    priority: i32,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    cells: Vec<Value>,
    /// What it is a row of: its metadata at least.
    #[serde(default)]
    object: Value,
}

/// Lays out the rows of a server's tables, which come after one another, under the same columns.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<Column>,
    widths: Vec<usize>,
    wide: bool,
    /// Whether the first column says the namespace.
    everywhere: bool,
}

impl Rows {
    /// Reads one.
    pub(super) fn read(value: &Value) -> Option<Self> {
        (value.get("kind").and_then(Value::as_str) == Some("Table")).then(|| serde_json::from_value(value.clone()).ok()).flatten()
    }

    /// Orders the rows by a text of what they are rows of.
    pub(super) fn sort_by(&mut self, pointer: &str) {
        let key = |row: &Row| row.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.rows.sort_by_cached_key(key);
    }

    /// How many rows it has.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Layout {
    /// A layout; `wide` with all columns, `everywhere` with the namespace before them.
    pub(super) fn new(wide: bool, everywhere: bool) -> Self {
        Self { columns: Vec::new(), widths: Vec::new(), wide, everywhere }
    }

    /// The rows as lines, under a line of heads where these are the first ones.
    pub(super) fn lines(&mut self, rows: &Rows) -> String {
        let first = self.columns.is_empty();
        if !rows.column_definitions.is_empty() {
            self.columns.clone_from(&rows.column_definitions);
        }
        let shown = |column: &Column| self.wide || column.priority <= 0;
        let heads = self.everywhere.then(|| "NAMESPACE".to_owned()).into_iter();
        let heads: Vec<String> =
            heads.chain(self.columns.iter().filter(|column| shown(column)).map(|column| column.name.to_uppercase())).collect();
        let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &rows.rows {
            let namespace = row.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let cells =
                self.columns.iter().zip(&row.cells).filter(|(column, _)| shown(column)).map(|(column, value)| laid_out(column, value));
            table.row(self.everywhere.then(|| cell(namespace)).into_iter().chain(cells));
        }
        let (text, widths) = if first { (table.render(), table.widths()) } else { table.render_under(&self.widths) };
        self.widths = widths;
        text
    }
}

fn laid_out(column: &Column, value: &Value) -> Cell {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let style = match column.name.as_str() {
        "Phase" | "Status" | "Ready" | "Type" => of_word(&text),
        _ => Style::new(),
    };
    let cell = if matches!(column.kind.as_str(), "integer" | "number") { figure(text) } else { cell(text) };
    cell.in_style(style)
}

/// What a word of the API means to who reads it.
pub(super) fn of_word(word: &str) -> Style {
    match word {
        "Available" | "Completed" | "True" | "Active" => style::GOOD,
        "Failed" | "Aborted" | "False" | "Unknown" | "Warning" => style::BAD,
        "Pending" | "Prepare" | "Upgrading" | "Completing" | "Executing" | "WaitingForConfirmation" | "Paused" | "Terminating" => {
            style::WAITING
        }
        word if word.starts_with("True,") => style::WAITING,
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;
    use serde_json::json;

    fn rows(names: &[&str], with_columns: bool) -> Rows {
        let columns = json!([{"name": "Name", "type": "string", "priority": 0}, {"name": "Ready", "type": "integer", "priority": 0},
            {"name": "URL", "type": "string", "priority": 1}]);
        let rows: Vec<Value> =
            names.iter().map(|name| json!({"cells": [name, 3, "http://x"], "object": {"metadata": {"namespace": "shop"}}})).collect();
        let columns = if with_columns { columns } else { json!([]) };
        Rows::read(&json!({"kind": "Table", "columnDefinitions": columns, "rows": rows})).unwrap()
    }

    #[test]
    fn the_server_says_which_columns_matter() {
        assert_eq!(plain(&Layout::new(false, false).lines(&rows(&["orders"], true))), "NAME    READY\norders      3\n");
        assert_eq!(
            plain(&Layout::new(true, true).lines(&rows(&["orders"], true))),
            "NAMESPACE  NAME    READY  URL\nshop       orders      3  http://x\n"
        );
    }

    #[test]
    fn rows_that_come_later_stand_under_the_same_columns() {
        let mut layout = Layout::new(false, false);
        layout.lines(&rows(&["orders"], true));
        assert_eq!(plain(&layout.lines(&rows(&["a"], false))), "a           3\n");
        assert_eq!(plain(&layout.lines(&rows(&["a-long-name"], false))), "a-long-name      3\n");
    }

    #[test]
    fn what_is_no_table_is_not_taken_for_one() {
        assert!(Rows::read(&json!({"kind": "ModuleList", "items": []})).is_none());
    }
}

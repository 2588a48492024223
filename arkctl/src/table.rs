//! Tables for people: aligned columns, two spaces between them, no borders.

use anstyle::Style;

use crate::{humanise::printable, style};

/// A table under construction.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell: a text, its style, its side.
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

/// A cell with a text.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    Cell { text: printable(&text.into()).replace(['\n', '\t'], " "), style: Style::new(), right: false }
}

/// A cell with a figure, aligned at its end.
pub(crate) fn figure(text: impl Into<String>) -> Cell {
    Cell { right: true, ..cell(text) }
}

impl Cell {
    /// The same cell in a style.
    pub(crate) fn in_style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

impl Table {
    /// A table with these heads; without a head line when there are none.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, a line for each row, each with its line end. Nothing stands behind the last cell of a line.
    pub(crate) fn render(&self) -> String {
        let right: Vec<bool> = self.rows.first().map(|row| row.iter().map(|cell| cell.right).collect()).unwrap_or_default();
        let is_right = |at: usize| right.get(at).copied().unwrap_or(false);
        let heads = self.heads.iter().enumerate();
        let heads: Vec<Cell> =
            heads.map(|(at, head)| Cell { text: (*head).to_owned(), style: style::FAINT, right: is_right(at) }).collect();
        let lines: Vec<&Vec<Cell>> = Some(&heads).into_iter().filter(|heads| !heads.is_empty()).chain(&self.rows).collect();
        let columns = lines.iter().map(|line| line.len()).max().unwrap_or(0);
        let widths: Vec<usize> =
            (0..columns).map(|at| lines.iter().filter_map(|line| line.get(at)).map(Cell::width).max().unwrap_or(0)).collect();
        lines.iter().map(|line| render_line(line, &widths)).collect()
    }
}

impl Cell {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

fn render_line(line: &[Cell], widths: &[usize]) -> String {
    let mut text = String::new();
    let mut due = 0;
    for (cell, width) in line.iter().zip(widths) {
        let space = width - cell.width();
        let (before, after) = if cell.right { (space, 0) } else { (0, space) };
        if !cell.text.is_empty() {
            text.push_str(&" ".repeat(due + before));
            text.push_str(&if cell.style.is_plain() { cell.text.clone() } else { style::paint(cell.style, &cell.text) });
            due = after + 2;
        } else {
            due += width + 2;
        }
    }
    text.push('\n');
    text
}

/// `text` as a terminal without colours shows it.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_their_style() {
        let mut table = Table::new(&["NAME", "N", "END"]);
        table.row([cell("a").in_style(style::GOOD), figure("1,234"), cell("x")]);
        table.row([cell("longer"), figure("5"), cell("")]);
        table.row([cell(""), figure(""), cell("y\nz")]);
        assert_eq!(plain(&table.render()), "NAME        N  END\na       1,234  x\nlonger      5\n               y z\n");
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(plain(&Table::new(&["A", "B"]).render()), "A  B\n");
        assert_eq!(Table::new(&[]).render(), "");
    }
}

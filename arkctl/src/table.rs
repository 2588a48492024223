//! Tables for people: aligned columns, two spaces between them, no borders.

use anstyle::Style;

use crate::{humanise::printable, style};

/// A table under construction.
pub(crate) struct Table {
    heads: Vec<String>,
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
    pub(crate) fn new(heads: &[&str]) -> Self {
        Self { heads: heads.iter().map(|head| (*head).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, a line for each row, each with its line end. Nothing stands behind the last cell of a line.
    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let head = (!self.heads.is_empty()).then(|| self.head());
        head.iter().chain(&self.rows).map(|line| render_line(line, &widths)).collect()
    }

    /// The rows alone, under columns of these widths at least; with the widths that they have then.
    pub(crate) fn render_under(&self, least: &[usize]) -> (String, Vec<usize>) {
        let own = self.widths();
        let widths: Vec<usize> = own.iter().enumerate().map(|(at, own)| (*own).max(least.get(at).copied().unwrap_or(0))).collect();
        (self.rows.iter().map(|line| render_line(line, &widths)).collect(), widths)
    }

    /// The widths of the columns.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let head = self.head();
        let lines = || std::iter::once(&head).chain(&self.rows);
        let columns = lines().map(Vec::len).max().unwrap_or(0);
        (0..columns).map(|at| lines().filter_map(|line| line.get(at)).map(Cell::width).max().unwrap_or(0)).collect()
    }

    fn head(&self) -> Vec<Cell> {
        let is_right = |at: usize| self.rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.right);
        let heads = self.heads.iter().enumerate();
        heads.map(|(at, head)| Cell { text: head.clone(), style: style::FAINT, right: is_right(at) }).collect()
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
        let space = width.saturating_sub(cell.width());
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

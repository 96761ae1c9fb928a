//! Tables for a person who reads a terminal.

use std::fmt;

/// Rows of cells; the first row is the heading. Numbers stand to the right, all else to the left.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self(vec![heading.map(str::to_owned).to_vec()])
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// By the column's first cell below its heading.
    fn is_of_numbers(&self, column: usize) -> bool {
        let first = self.0.get(1).and_then(|row| row.get(column));
        first.is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit()))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |n: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(n));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.0 {
            for (n, cell) in row.iter().enumerate() {
                let width = widths[n];
                if n + 1 == columns {
                    write!(f, "  {cell}")?;
                } else if self.is_of_numbers(n) {
                    write!(f, "  {cell:>width$}")?;
                } else {
                    write!(f, "  {cell:<width$}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

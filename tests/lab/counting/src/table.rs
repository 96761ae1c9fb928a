//! Tables for a terminal or a Markdown page.

use std::fmt;

/// Rows of cells; the first row is the heading. Numbers are aligned right, other columns left.
#[derive(Debug, Default)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    pub fn new<T: Into<String>>(heading: impl IntoIterator<Item = T>) -> Self {
        Self(vec![heading.into_iter().map(Into::into).collect()])
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// Decides by the column's first non-empty cell below the heading.
    fn is_of_numbers(&self, column: usize) -> bool {
        let mut cells = self.0.iter().skip(1).filter_map(|row| row.get(column));
        let first = cells.find(|cell| !cell.is_empty());
        first.is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn columns(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or_default()
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.columns()).map(|column| {
            let is_right = self.is_of_numbers(column);
            if is_right { "---:" } else { "---" }.to_owned()
        });
        let mut rows = self.0.iter().map(|row| line(row));
        let heading = rows.next().unwrap_or_default();
        heading + &line(&rule.collect::<Vec<_>>()) + &rows.collect::<String>()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
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
                if self.is_of_numbers(n) {
                    write!(f, "  {cell:>width$}")?;
                } else if n + 1 == columns {
                    write!(f, "  {cell}")?;
                } else {
                    write!(f, "  {cell:<width$}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["part", "A", "B"]);
        table.row(["writes", "", "4"].map(str::to_owned));
        table.row(["reads", "12", ""].map(str::to_owned));
        table
    }

    #[test]
    fn numbers_are_right_aligned() {
        assert_eq!(
            table().to_string(),
            "  part     A  B\n  writes      4\n  reads   12   \n"
        );
    }

    #[test]
    fn markdown_right_aligns_columns_of_numbers() {
        assert_eq!(
            table().markdown(),
            "| part | A | B |\n| --- | ---: | ---: |\n| writes |  | 4 |\n| reads | 12 |  |\n"
        );
    }
}

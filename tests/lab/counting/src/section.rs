//! A part of a report, for a terminal or a Markdown page.

use std::fmt;

use crate::Table;

/// A title, a note to read first, and a table.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub note: Option<String>,
    pub table: Table,
}

impl Section {
    pub fn markdown(&self) -> String {
        let note = self.note.as_ref();
        let note = note.map(|note| format!("{note}\n\n")).unwrap_or_default();
        format!("### {}\n\n{note}{}", self.title, self.table.markdown())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        if let Some(note) = &self.note {
            writeln!(f, "  {note}")?;
        }
        writeln!(f, "{}", self.table)
    }
}

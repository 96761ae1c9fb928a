//! The sections about what was counted.

use std::collections::BTreeMap;

use super::{
    Report,
    numbers::{halves, requests_and_units},
};
use crate::{
    bill::{self, number},
    section::Section,
    table::Table,
    work::{Work, names},
};

const KB: f64 = 1_024.0;

impl Report {
    pub(super) fn cases(&self) -> Section {
        let mut table = Table::new(["", "notification"]);
        for (case, _) in &self.works {
            table.row([case.letter().to_string(), case.to_string()]);
        }
        Section {
            title: "The notifications",
            note: None,
            table,
        }
    }

    pub(super) fn heading(&self, first: &str) -> Vec<String> {
        let letters = self.works.iter().map(|(case, _)| case.letter().to_string());
        std::iter::once(first.to_owned()).chain(letters).collect()
    }

    pub(super) fn row(&self, first: &str, cell: impl Fn(&Work) -> String) -> Vec<String> {
        let cells = self.works.iter().map(|(_, work)| cell(work));
        std::iter::once(first.to_owned()).chain(cells).collect()
    }

    pub(super) fn counts(&self) -> Section {
        let mut table = Table::new(self.heading("one of them uses"));
        let mut count = |what, cell: &dyn Fn(&Work) -> u64| {
            table.row(self.row(what, |work| cell(work).to_string()));
        };
        count("state transitions", &|work| {
            work.counted.transitions.values().sum()
        });
        count("Lambda invocations", &|work| {
            work.counted.invocations.values().sum()
        });
        count("DynamoDB requests", &|work| {
            work.counted.dynamodb_total().requests
        });
        count("DynamoDB write units", &|work| {
            work.counted.dynamodb_total().write_units
        });
        table.row(self.row("DynamoDB read units", |work| {
            halves(work.counted.dynamodb_total().half_read_units)
        }));
        let mut count = |what, cell: &dyn Fn(&Work) -> u64| {
            table.row(self.row(what, |work| cell(work).to_string()));
        };
        count("calls to Secrets Manager", &|work| {
            work.counted.secret_reads
        });
        count("requests to CloudWatch", &|work| work.counted.metric_puts);
        count("events in EventBridge", &|work| work.counted.status_events);
        count("traces in X-Ray", &|_| {
            u64::from(self.deployment.traces_executions())
        });
        count("calls to Slack", &|work| work.counted.slack.values().sum());
        table.row(self.row("KB of logs, about", |work| {
            let bytes = bill::log_bytes(work, &self.deployment);
            format!("{:.0}", number(bytes) / KB)
        }));
        table.row(self.row("ms in functions here, about", |work| {
            let times = work.measured.times.values();
            let millis = times.sum::<std::time::Duration>().as_millis();
            // Round to tens, because measured times vary from run to run.
            ((millis + 5) / 10 * 10).to_string()
        }));
        Section {
            title: "Counted",
            note: None,
            table,
        }
    }

    pub(super) fn details(&self) -> Section {
        let mut table = Table::new(self.heading("of these"));
        self.each(
            &mut table,
            "state",
            |work| &work.counted.transitions,
            ToString::to_string,
        );
        self.each(
            &mut table,
            "function",
            |work| &work.counted.invocations,
            ToString::to_string,
        );
        self.each(
            &mut table,
            "table",
            |work| &work.counted.dynamodb,
            requests_and_units,
        );
        self.each(
            &mut table,
            "Slack",
            |work| &work.counted.slack,
            ToString::to_string,
        );
        Section {
            title: "In detail",
            note: Some(
                "DynamoDB rows show requests, with the units in brackets if they differ."
                    .to_owned(),
            ),
            table,
        }
    }

    /// A row for each name that occurs in any of the works.
    fn each<T>(
        &self,
        table: &mut Table,
        kind: &str,
        counts: impl Fn(&Work) -> &BTreeMap<String, T>,
        cell: impl Fn(&T) -> String,
    ) {
        for name in names(self.works.iter().map(|(_, work)| counts(work))) {
            table.row(self.row(&format!("{kind} {name}"), |work| {
                counts(work).get(name).map(&cell).unwrap_or_default()
            }));
        }
    }
}

//! The report: what was counted, and what it costs.

use std::{collections::BTreeMap, fmt};

use local_stack::Project;

use crate::{
    Error,
    bill::{self, SLACK_ANSWERS_IN, number},
    cases::{self, Case},
    counter::Counter,
    deployment::{Deployment, custom_metrics},
    dynamodb::Taken,
    prices,
    schedules::Schedule,
    section::Section,
    table::Table,
    work::{Work, names},
};

const THOUSAND: f64 = 1_000.0;
const KB: f64 = 1_024.0;

/// A busy month: this many of each case, and a receipt for each.
const BUSY_MONTH: [(Case, u64); 7] = [
    (Case::FirstToMany, 1_000),
    (Case::RepeatedToMany, 60_000),
    (Case::Repeated, 20_000),
    (Case::Public, 15_000),
    (Case::PublicInAQueue, 4_000),
    (Case::Receipt, 39_000),
    (Case::ReceiptOfMany, 61_000),
];

#[derive(Debug, Clone)]
pub struct Report {
    works: Vec<(Case, Work)>,
    /// The functions that run on a schedule, and the work of each run.
    scheduled: Vec<(Schedule, Work)>,
    deployment: Deployment,
    /// The number of custom metrics that the run has published.
    custom_metrics: u64,
}

/// Starts a stack, runs each case on it, and counts.
pub async fn run(project: &Project) -> Result<Report, Error> {
    let deployment = Deployment::synthesised(project, "cost").await?;
    let counter = Counter::start(project, "cost").await?;
    let report = measure(&counter, deployment).await;
    counter.stop().await;
    report
}

async fn measure(counter: &Counter, deployment: Deployment) -> Result<Report, Error> {
    let works = cases::run(counter).await?;
    let reads_again = |(case, work): &(Case, Work)| {
        *case != Case::FirstByColdFunctions && work.counted.secret_reads > 0
    };
    if works.iter().any(reads_again) {
        let late = "a cached token expired during a case: is the machine busy?";
        return Err(Error::Uncounted(late.to_owned()));
    }
    let mut scheduled = Vec::new();
    for schedule in &counter.schedules {
        let work = counter.count_invocation(&schedule.function).await?;
        scheduled.push((schedule.clone(), work));
    }
    Ok(Report {
        works,
        scheduled,
        deployment,
        custom_metrics: custom_metrics(counter.aws()).await?,
    })
}

impl Report {
    pub fn markdown(&self) -> String {
        let sections = self.sections();
        let sections = sections.iter().map(Section::markdown);
        sections.collect::<Vec<_>>().join("\n")
    }

    fn sections(&self) -> Vec<Section> {
        vec![
            self.cases(),
            self.counts(),
            self.details(),
            self.by_thousand(),
            self.fixed(),
            self.busy_month(),
            price_list(),
        ]
    }

    fn cases(&self) -> Section {
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

    fn heading(&self, first: &str) -> Vec<String> {
        let letters = self.works.iter().map(|(case, _)| case.letter().to_string());
        std::iter::once(first.to_owned()).chain(letters).collect()
    }

    fn row(&self, first: &str, cell: impl Fn(&Work) -> String) -> Vec<String> {
        let cells = self.works.iter().map(|(_, work)| cell(work));
        std::iter::once(first.to_owned()).chain(cells).collect()
    }

    fn counts(&self) -> Section {
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

    fn details(&self) -> Section {
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

    fn by_thousand(&self) -> Section {
        let mut table = Table::new(self.heading("US$ for a thousand"));
        let lines = |work: &Work| bill::lines(work, &self.deployment);
        let parts = self.works.first().map(|(_, work)| lines(work));
        for (n, part) in parts.into_iter().flatten().enumerate() {
            table.row(self.row(part.part, |work| {
                let dollars = lines(work).get(n).map(bill::Line::dollars);
                format!("{:.4}", THOUSAND * dollars.unwrap_or_default())
            }));
        }
        table.row(self.row("together", |work| {
            format!("{:.4}", THOUSAND * bill::dollars(work, &self.deployment))
        }));
        Section {
            title: "The price of a thousand",
            note: Some(format!(
                "A function that calls Slack is billed while it waits for the response: {} ms a call, an \
                 assumption, because the sandbox responds at once. Ten parallel look-ups count as ten.",
                SLACK_ANSWERS_IN.as_millis()
            )),
            table,
        }
    }

    fn fixed_lines(&self) -> Vec<(u64, String, f64)> {
        let fixed = self.deployment.fixed(self.custom_metrics).into_iter();
        let fixed = fixed.map(|(count, price)| {
            let what = price.unit.trim_end_matches(" a month");
            (count, what.to_owned(), price.of(number(count)))
        });
        let scheduled = self.scheduled.iter().map(|(schedule, work)| {
            let dollars = bill::dollars(work, &self.deployment);
            let times = schedule.times_a_month;
            let what = format!("invocation of {} on a schedule", schedule.function);
            (times, what, number(times) * dollars)
        });
        fixed.chain(scheduled).collect()
    }

    fn fixed_dollars(&self) -> f64 {
        let lines = self.fixed_lines();
        lines.iter().map(|(_, _, dollars)| dollars).sum()
    }

    fn fixed(&self) -> Section {
        let mut table = Table::new(["", "what", "US$ a month"]);
        for (count, what, dollars) in self.fixed_lines() {
            table.row([
                format!("{} ×", grouped(count)),
                what,
                format!("{dollars:.2}"),
            ]);
        }
        let together = format!("{:.2}", self.fixed_dollars());
        table.row([String::new(), "together".to_owned(), together]);
        Section {
            title: "What a month costs by itself",
            note: Some(
                "Counted in the templates for production, including the MPC service's handlers. Custom metrics \
                 also include those that this run has published. Each further one (another workflow, \
                 another reason why a member was skipped) is added when it is first used."
                    .to_owned(),
            ),
            table,
        }
    }

    fn busy_month(&self) -> Section {
        let mut table = Table::new(["", "how many", "of", "US$"]);
        let mut together = self.fixed_dollars();
        let mut notifications = 0;
        for (case, count) in BUSY_MONTH {
            let works = self.works.iter();
            let work = works.filter(|(one, _)| *one == case).map(|(_, work)| work);
            let dollars: f64 = work.map(|work| bill::dollars(work, &self.deployment)).sum();
            let dollars = number(count) * dollars;
            together += dollars;
            if !matches!(case, Case::Receipt | Case::ReceiptOfMany) {
                notifications += count;
            }
            let letter = case.letter().to_string();
            table.row([
                letter,
                grouped(count),
                case.to_string(),
                format!("{dollars:.2}"),
            ]);
        }
        let fixed = format!("{:.2}", self.fixed_dollars());
        let by_itself = "what a month costs by itself".to_owned();
        table.row([String::new(), String::new(), by_itself, fixed]);
        let together = format!("{together:.2}");
        let sum = "together".to_owned();
        table.row([String::new(), grouped(notifications), sum, together]);
        Section {
            title: "A busy month",
            note: None,
            table,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in self.sections() {
            write!(f, "{section}")?;
        }
        Ok(())
    }
}

fn price_list() -> Section {
    let mut table = Table::new(["US$", "for", "source"]);
    for price in prices::ALL {
        let per = match price.per {
            1e6 => "a million ",
            10_000.0 => "10,000 ",
            1_000.0 => "1,000 ",
            _ => "1 ",
        };
        let dollars = price.dollars.to_string();
        table.row([
            dollars,
            format!("{per}{}", price.unit),
            price.source.to_owned(),
        ]);
    }
    Section {
        title: "The price list",
        note: Some(format!(
            "List prices in us-east-1, read on {}. No free tier, no discount.",
            prices::READ_ON
        )),
        table,
    }
}

fn requests_and_units(taken: &Taken) -> String {
    let half_units = taken.half_read_units + 2 * taken.write_units;
    if half_units == 2 * taken.requests {
        return taken.requests.to_string();
    }
    format!("{} ({})", taken.requests, halves(half_units))
}

/// Formats half units as units.
fn halves(count: u64) -> String {
    if count.is_multiple_of(2) {
        (count / 2).to_string()
    } else {
        format!("{}.5", count / 2)
    }
}

/// Inserts a comma after each group of three digits.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_write_each(Taken { requests: 2, half_read_units: 0, write_units: 2 }, "2")]
    #[case::a_batch(Taken { requests: 1, half_read_units: 24, write_units: 0 }, "1 (12)")]
    #[case::a_stale_read(Taken { requests: 1, half_read_units: 1, write_units: 0 }, "1 (0.5)")]
    fn units_are_told_where_they_are_not_as_many_as_requests(
        #[case] taken: Taken,
        #[case] shown: &str,
    ) {
        assert_eq!(requests_and_units(&taken), shown);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(8_640, "8,640")]
    #[case(1_000_000, "1,000,000")]
    fn a_large_count_is_readable(#[case] count: u64, #[case] shown: &str) {
        assert_eq!(grouped(count), shown);
    }
}

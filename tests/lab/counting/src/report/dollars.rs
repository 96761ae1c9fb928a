//! The sections about money.

use super::{Report, numbers::grouped};
use crate::{
    bill::{self, SLACK_ANSWERS_IN, number},
    cases::Case,
    prices,
    section::Section,
    table::Table,
    work::Work,
};

const THOUSAND: f64 = 1_000.0;

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

impl Report {
    pub(super) fn by_thousand(&self) -> Section {
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

    pub(super) fn fixed(&self) -> Section {
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

    pub(super) fn busy_month(&self) -> Section {
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

pub(super) fn price_list() -> Section {
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

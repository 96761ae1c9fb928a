//! How the cost of notifications grows, as a table and as plots.

use std::{fs, path::Path};

use counting::{
    Section, Table,
    bill::{self, number},
    deployment::Deployment,
    growth::Point,
    report::halves,
    work::Work,
};

use crate::{Error, budget::Counts, plot, plot::Series};

/// A quantity that notifications grow with, and the texts that describe it in a report.
#[derive(Debug)]
pub struct By {
    title: &'static str,
    note: &'static str,
    across: &'static str,
    file: &'static str,
}

pub const MEMBERS: By = By {
    title: "By members",
    note: "A notification to a new private channel with only new members, and the same notification again. \
           Includes waits for Slack's limits, which take two transitions each.",
    across: "members",
    file: "by-members.svg",
};

pub const CHANNELS: By = By {
    title: "By channels",
    note: "A notification to a public channel of a workspace whose channels have not been scanned, then one \
           to another channel, then the first again. Includes waits for Slack's limits, which take two \
           transitions each.",
    across: "channels in the workspace",
    file: "by-channels.svg",
};

/// The measurements of a point, each with its name.
fn works(point: &Point) -> impl Iterator<Item = (&'static str, &Work)> {
    let another = point.another.as_ref().map(|work| ("another channel", work));
    [
        Some(("first", &point.first)),
        another,
        Some(("repeated", &point.repeated)),
    ]
    .into_iter()
    .flatten()
}

pub fn section(by: &By, points: &[Point], deployment: &Deployment) -> Section {
    let mut table = Table::new([
        by.across,
        "notification",
        "Slack calls",
        "transitions",
        "invocations",
        "DynamoDB requests",
        "write units",
        "read units",
        "US$ a thousand",
    ]);
    for point in points {
        for (what, work) in works(point) {
            let counts = Counts::from(work);
            let mut cells = vec![point.size.to_string(), what.to_owned()];
            cells.extend(
                [
                    counts.slack_calls,
                    counts.state_transitions,
                    counts.lambda_invocations,
                    counts.dynamodb_requests,
                    counts.dynamodb_write_units,
                ]
                .map(|count| count.to_string()),
            );
            cells.push(halves(counts.dynamodb_half_read_units));
            cells.push(format!("{:.3}", 1_000.0 * bill::dollars(work, deployment)));
            table.row(cells);
        }
    }
    Section {
        title: by.title,
        note: Some(by.note.to_owned()),
        table,
    }
}

type Figure = fn(Counts) -> u64;

/// Writes the plot to the folder.
pub fn draw(by: &By, points: &[Point], folder: &Path) -> Result<(), Error> {
    let line = |work: &dyn Fn(&Point) -> Counts, figure: Figure| {
        let points = points.iter();
        let points = points.map(|point| (number(point.size as u64), number(figure(work(point)))));
        points.collect()
    };
    let figures: [(&str, Figure); 3] = [
        ("calls to Slack", |counts| counts.slack_calls),
        ("state transitions", |counts| counts.state_transitions),
        ("DynamoDB write units", |counts| counts.dynamodb_write_units),
    ];
    let series = figures.map(|(name, figure)| Series {
        name: name.to_owned(),
        first: line(&|point| Counts::from(&point.first), figure),
        repeated: line(&|point| Counts::from(&point.repeated), figure),
    });
    let title = format!("What a notification uses, by {}", by.across);
    let svg = plot::log_log(&title, by.across, &series)?;
    let file = folder.join(by.file);
    let what = file.display().to_string();
    fs::create_dir_all(folder).map_err(Error::io(&what))?;
    fs::write(file, svg).map_err(Error::io(&what))
}

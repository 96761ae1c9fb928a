//! Items that are open during the update: their cards, and the reminders of the people for whom they wait.
//!
//! The run sets the calendar. Everybody's clock shows UTC.
//!
//! | it is | what happens |
//! |---|---|
//! | Monday, 08:00 | The first items are published. |
//! | Monday, 17:00 | The previous version reminds of them, if it can. |
//! | Monday, 18:00 | More items are published, and newer versions of the first ones. Slack holds up their cards until the update is over. |
//! | Tuesday, 16:50 | The previous version starts the next reminders, if it can; they wait for 17:00. The update follows. Items move meanwhile, and after it. |
//! | Tuesday, 17:00 | People are reminded by this version. |
//! | Wednesday, 09:00 | They are reminded of what is overdue. |
//!
//! A previous version without items, such as 0.1.0, leaves everything to this one: as soon as the update has made the
//! workflow, all items are published.

use std::time::Duration;

use apgl_client::Client;
use apgl_contract::ItemId;
use apgl_stores::{Items, Table};
use aws_types::SdkConfig;
use jiff::Timestamp;
use local_stack::{
    Execution, LocalStack, Status,
    execution::Executions,
    invoke::{Answer, invoke},
};
use serde_json::json;
use slack_sandbox::Admin;
use tokio::time::{Instant, sleep};

use super::{
    AT_MOST, hold,
    script::{self, Phase, Reminded, Version},
};
use crate::{
    Error, caller,
    dice::Dice,
    notifications::{Audience, Channels, end_of},
};

const UPDATE_ITEM: &str = "update-item";
const REMIND: &str = "remind";
const ITEMS_TABLE: &str = "apgl-items";
const POLL: Duration = Duration::from_millis(500);
/// The time between two versions that are published while the update runs.
const BETWEEN_VERSIONS: Duration = Duration::from_secs(5);

const MONDAY_MORNING: &str = "2027-03-01T08:00:00Z";
const BEFORE_MONDAYS_REMINDER: &str = "2027-03-01T16:50:00Z";
const MONDAYS_REMINDER: &str = "2027-03-01T17:00:00Z";
const MONDAY_EVENING: &str = "2027-03-01T18:00:00Z";
const BEFORE_TUESDAYS_REMINDER: &str = "2027-03-02T16:50:00Z";
const TUESDAYS_REMINDER: &str = "2027-03-02T17:00:00Z";
const BEFORE_WEDNESDAYS_REMINDER: &str = "2027-03-03T08:50:00Z";
const WEDNESDAYS_REMINDER: &str = "2027-03-03T09:00:00Z";

/// What became of the items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemsReport {
    pub items: usize,
    /// Whether the previous version has reminders.
    pub had_reminders: bool,
    /// Items that the previous version had recorded.
    pub open_before: usize,
    /// Executions of `update-item`.
    pub versions: usize,
    /// Those that started before the update and were still running when it finished.
    pub outlasted: usize,
    /// A line for each of them that did not succeed.
    pub failed: Vec<String>,
    /// Items that have one card in Slack, which shows their newest version.
    pub cards: usize,
    /// How many items wait for a person.
    pub waiting: usize,
    /// For how many of them the table says so.
    pub noted: usize,
    /// Executions of `remind` that the previous version had started, and that waited for their time when the update finished.
    pub reminders_outlasted: usize,
    /// How many reminders had to be sent, before the update and after it.
    pub due: usize,
    /// How many of them are in Slack.
    pub reminded: usize,
    /// A line for each reminder that is in Slack but should not be.
    pub not_due: Vec<String>,
}

/// The items of a run.
pub(super) struct OpenItems {
    aws: SdkConfig,
    sandbox: Admin,
    client: Client,
    executions: Executions,
    items: Items,
    audience: Audience,
    /// Whether the previous version has items.
    had_items: bool,
    /// The executions of `update-item`, in the order of their start.
    started: Vec<String>,
    /// How many of them started before the update.
    started_before: usize,
    report: ItemsReport,
}

impl OpenItems {
    /// Adds channels to Slack, and looks what the deployed version can do. The items wait for some of these people, whom
    /// notifications write to as well.
    pub async fn settle(
        stack: &LocalStack,
        sandbox: &Admin,
        people: &[String],
    ) -> Result<Self, Error> {
        let mut audience = Audience::new("items", script::CHANNELS, Channels::Public);
        audience.people.clear();
        audience.settle(stack, sandbox).await?;
        audience.people.extend_from_slice(&people[..script::PEOPLE]);
        let aws = stack.aws.clone();
        let executions = Executions::new(&aws);
        let table = Table::new(aws_sdk_dynamodb::Client::new(&aws), ITEMS_TABLE.to_owned());
        Ok(Self {
            sandbox: sandbox.clone(),
            client: caller::client(&aws)?,
            had_items: executions.knows(UPDATE_ITEM).await?,
            report: ItemsReport {
                had_reminders: executions.knows(REMIND).await?,
                ..ItemsReport::default()
            },
            executions,
            items: Items::new(table),
            audience,
            started: Vec::new(),
            started_before: 0,
            aws,
        })
    }

    /// The previous version posts the first cards and sends the first reminders, as far as it can.
    pub async fn begin(&mut self) -> Result<(), Error> {
        if !self.had_items {
            return Ok(());
        }
        self.it_is(MONDAY_MORNING).await?;
        self.publish(Phase::Morning).await?;
        self.wait_for_all().await?;
        if self.report.had_reminders {
            self.remind(BEFORE_MONDAYS_REMINDER, MONDAYS_REMINDER)
                .await?;
        }
        Ok(())
    }

    /// The previous version begins what the update interrupts. A held-up step waits only a hundred times, so this comes right
    /// before the update.
    pub async fn open(&mut self) -> Result<(), Error> {
        if !self.had_items {
            return Ok(());
        }
        self.it_is(MONDAY_EVENING).await?;
        for (channel, method) in script::HELD {
            hold(&self.sandbox, &self.audience.public[channel], method).await?;
        }
        self.publish(Phase::Evening).await?;
        self.wait_until_recorded().await?;
        self.report.open_before = script::ITEMS;
        self.started_before = self.started.len();
        self.it_is(BEFORE_TUESDAYS_REMINDER).await?;
        if self.report.had_reminders {
            self.sweep().await?;
        }
        Ok(())
    }

    /// Publishes versions while the update runs.
    pub async fn meanwhile(&mut self) -> Result<(), Error> {
        if !self.had_items {
            while !self.executions.knows(UPDATE_ITEM).await? {
                sleep(POLL).await;
            }
            self.it_is(MONDAY_EVENING).await?;
            self.publish(Phase::Morning).await?;
            self.publish(Phase::Evening).await?;
        }
        for version in script::versions(Phase::Meanwhile) {
            sleep(BETWEEN_VERSIONS).await;
            self.start(&version).await?;
        }
        Ok(())
    }

    /// Counts what started before the update and is still running.
    pub async fn look_at_outlasted(&mut self) -> Result<(), Error> {
        for arn in &self.started[..self.started_before] {
            let status = self.executions.describe(arn).await?.status;
            self.report.outlasted += usize::from(status == Status::Running);
        }
        let reminding = self.executions.statuses(REMIND).await?;
        let reminding = reminding.iter().filter(|one| **one == Status::Running);
        self.report.reminders_outlasted = reminding.count();
        Ok(())
    }

    /// What this version does after the update, and whether all is as it should be.
    pub async fn after(mut self) -> Result<ItemsReport, Error> {
        self.publish(Phase::Afterwards).await?;
        self.wait_for_all().await?;
        self.it_is(BEFORE_TUESDAYS_REMINDER).await?;
        self.sweep().await?;
        self.look_at_rows().await?;
        self.it_is(TUESDAYS_REMINDER).await?;
        self.wait_for_reminders().await?;
        self.remind(BEFORE_WEDNESDAYS_REMINDER, WEDNESDAYS_REMINDER)
            .await?;
        self.look_at_cards().await?;
        self.look_at_reminders().await?;
        self.report.items = script::ITEMS;
        self.report.versions = self.started.len();
        Ok(self.report)
    }

    async fn it_is(&self, time: &str) -> Result<(), Error> {
        let time: Timestamp = time
            .parse()
            .map_err(|error| Error::Setup(format!("{time}: {error}")))?;
        Ok(self.items.set_calendar(time).await?)
    }

    async fn publish(&mut self, phase: Phase) -> Result<(), Error> {
        for version in script::versions(phase) {
            self.start(&version).await?;
        }
        Ok(())
    }

    async fn start(&mut self, version: &Version) -> Result<(), Error> {
        let event = version.event(&self.audience);
        let arn = caller::start(&self.client, &event, &Dice::new(0)).await;
        let arn = arn.map_err(|error| Error::Setup(error.to_string()))?;
        self.started.push(arn);
        Ok(())
    }

    /// Waits until all executions of `update-item` have ended, and notes which have not succeeded.
    async fn wait_for_all(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + AT_MOST;
        self.report.failed.clear();
        for arn in &self.started {
            let left = deadline.saturating_duration_since(Instant::now());
            let execution = end_of(&self.executions, arn, left).await?;
            let has_succeeded = |one: &Execution| one.status == Status::Succeeded;
            if !execution.as_ref().is_some_and(has_succeeded) {
                let error = execution.and_then(|one| one.error);
                let error = error.unwrap_or_else(|| "it does not end".to_owned());
                self.report.failed.push(format!("{arn}: {error}"));
            }
        }
        Ok(())
    }

    /// Waits until the table has the newest version of each item that was published before the update.
    async fn wait_until_recorded(&self) -> Result<(), Error> {
        let deadline = Instant::now() + AT_MOST;
        for version in script::versions(Phase::Evening) {
            while self.recorded(&version).await? < version.number {
                if Instant::now() >= deadline {
                    let problem = format!("{} is not recorded", version.title());
                    return Err(Error::Setup(problem));
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    async fn recorded(&self, version: &Version) -> Result<u64, Error> {
        let item = self.items.latest(&id_of(version)?).await?;
        Ok(item.map_or(0, |item| item.version.get()))
    }

    /// The hourly schedule fires, and the time comes for which it has looked.
    async fn remind(&self, before: &str, time: &str) -> Result<(), Error> {
        self.it_is(before).await?;
        self.sweep().await?;
        self.it_is(time).await?;
        self.wait_for_reminders().await
    }

    async fn sweep(&self) -> Result<(), Error> {
        match invoke(&self.aws, "sweep-reminders", &json!({})).await? {
            Answer::Outcome(_) => Ok(()),
            Answer::Failure { cause, .. } => Err(Error::Setup(format!("the sweep: {cause}"))),
        }
    }

    async fn wait_for_reminders(&self) -> Result<(), Error> {
        let deadline = Instant::now() + AT_MOST;
        loop {
            let mut statuses = self.executions.statuses(REMIND).await?;
            statuses.retain(|status| *status != Status::Succeeded);
            if statuses.is_empty() {
                return Ok(());
            }
            let has_failed = statuses.iter().any(|status| *status != Status::Running);
            if has_failed || Instant::now() >= deadline {
                let problem = format!("{} reminders have failed or do not end", statuses.len());
                return Err(Error::Setup(problem));
            }
            sleep(POLL).await;
        }
    }

    async fn look_at_rows(&mut self) -> Result<(), Error> {
        for version in script::newest() {
            let Some(email) = version.email(&self.audience) else {
                continue;
            };
            let id = id_of(&version)?;
            let item = self.items.latest(&id).await?;
            let rows = self.items.waiting(&id).await?;
            let is_noted = rows.iter().any(|row| {
                let waiting = &row.waiting;
                waiting.email.as_str() == email && waiting.is_current(item.as_ref())
            });
            self.report.waiting += 1;
            self.report.noted += usize::from(is_noted);
        }
        Ok(())
    }

    async fn look_at_cards(&mut self) -> Result<(), Error> {
        let mut texts = Vec::new();
        for channel in &self.audience.public {
            let channel = self.sandbox.channel(channel).await?;
            let messages = channel.map(|channel| channel.messages).unwrap_or_default();
            texts.extend(messages.into_iter().map(|message| message.text));
        }
        for version in script::newest() {
            let cards = texts.iter().filter(|text| text.contains(&version.name()));
            let cards: Vec<&String> = cards.collect();
            let is_newest = cards.iter().all(|text| text.contains(&version.title()));
            self.report.cards += usize::from(cards.len() == 1 && is_newest);
        }
        Ok(())
    }

    async fn look_at_reminders(&mut self) -> Result<(), Error> {
        let mut sent = Reminded::new();
        for person in 0..script::PEOPLE {
            let email = &self.audience.people[person];
            let channel = self.sandbox.direct_message(email).await?;
            for message in channel.map(|one| one.messages).unwrap_or_default() {
                for title in script::titles_in(&message.text) {
                    *sent.entry((person, title)).or_default() += 1;
                }
            }
        }
        let due = script::reminders(self.report.had_reminders);
        self.report.due = due.values().sum();
        self.report.reminded = in_both(&due, &sent);
        self.report.not_due = beyond(&sent, &due);
        Ok(())
    }
}

fn id_of(version: &Version) -> Result<ItemId, Error> {
    ItemId::try_from(version.id()).map_err(|error| Error::Setup(error.to_owned()))
}

/// How many reminders are in both.
fn in_both(due: &Reminded, sent: &Reminded) -> usize {
    let count = |(reminder, count): (&_, &usize)| {
        let sent = sent.get(reminder).copied().unwrap_or_default();
        sent.min(*count)
    };
    due.iter().map(count).sum()
}

/// A line for each reminder that was sent more often than it is due.
fn beyond(sent: &Reminded, due: &Reminded) -> Vec<String> {
    let mut lines = Vec::new();
    for (reminder, count) in sent {
        let due = due.get(reminder).copied().unwrap_or_default();
        if *count > due {
            let (person, title) = reminder;
            lines.push(format!(
                "person {person} was reminded of {title} {count} times, not {due}"
            ));
        }
    }
    lines
}

impl ItemsReport {
    /// The lines of the table.
    pub(super) fn lines(&self) -> [(&'static str, usize); 12] {
        [
            ("items", self.items),
            ("  open before the update", self.open_before),
            ("  versions published", self.versions),
            ("    ran before and after it", self.outlasted),
            ("    failed", self.failed.len()),
            ("  with one card, up to date", self.cards),
            ("  waiting for somebody", self.waiting),
            ("    noted in the table", self.noted),
            ("reminders due", self.due),
            ("  waited during the update", self.reminders_outlasted),
            ("  sent", self.reminded),
            ("  sent but not due", self.not_due.len()),
        ]
    }

    /// The promises that the run has broken.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.open_before > 0 && self.outlasted == 0 {
            problems.push("no card was being updated during the update".to_owned());
        }
        if self.had_reminders && self.reminders_outlasted == 0 {
            problems.push("nobody was about to be reminded during the update".to_owned());
        }
        problems.extend(self.failed.clone());
        for (good, of, what) in [
            (self.cards, self.items, "items have one card, up to date"),
            (
                self.noted,
                self.waiting,
                "people are noted as those for whom an item waits",
            ),
            (self.reminded, self.due, "reminders were sent"),
        ] {
            if good != of {
                problems.push(format!("only {good} of {of} {what}"));
            }
        }
        problems.extend(self.not_due.clone());
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reminded(of: &[(usize, &str, usize)]) -> Reminded {
        let of = of.iter();
        of.map(|(person, title, count)| ((*person, (*title).to_owned()), *count))
            .collect()
    }

    #[test]
    fn a_reminder_that_is_missing_and_one_too_many_are_both_found() {
        let due = reminded(&[(0, "a", 2), (1, "b", 1)]);
        let sent = reminded(&[(0, "a", 1), (1, "b", 2), (1, "c", 1)]);
        assert_eq!(in_both(&due, &sent), 2);
        let expected = [
            "person 1 was reminded of b 2 times, not 1",
            "person 1 was reminded of c 1 times, not 0",
        ];
        assert_eq!(beyond(&sent, &due), expected);
        assert!(beyond(&due, &due).is_empty());
    }
}

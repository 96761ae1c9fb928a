//! What the steps share that remind people: the items, the settings and the calendar.

use std::iter;

use apgl_aws::{SettingError, optional_setting};
use apgl_contract::{
    DueDate, Item as ContractItem, SlackUser, StepError,
    reminders::{Part, Reminders, Stage},
};
use apgl_reminders::{PersonZone, Plan, Waiting, local_day, read_settings, zone_named};
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};

use super::{Calendar, Items, WaitingRow};

/// How long after its time something is still sent that is due then.
pub const GRACE: SignedDuration = SignedDuration::from_mins(15);
/// A sweep starts executions ahead of the hour in which something is due.
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_mins(75);
/// A stage is found within this many looks: in between are a change of the time zone and stages of another part.
const MOST_LOOKS: usize = 20;

/// The items, and what decides when people are reminded of them.
#[derive(Debug, Clone)]
pub struct Planner {
    pub items: Items,
    pub reminders: Reminders,
    pub calendar: Calendar,
}

impl Planner {
    /// Uses the table that `ITEMS_TABLE` names, the settings in `REMINDERS`, and the calendar that `CALENDAR` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, SettingError> {
        let items = Items::from_env(aws)?;
        let settings = optional_setting("REMINDERS");
        let reminders = read_settings(settings.as_deref().unwrap_or("{}"));
        Ok(Self {
            calendar: Calendar::from_env(&items)?,
            reminders: reminders.map_err(|_| SettingError::Bad {
                name: "REMINDERS",
                rule: "must be settings of reminders: see docs/reminders.md",
            })?,
            items,
        })
    }

    pub async fn now(&self) -> Result<Timestamp, StepError> {
        self.calendar.now().await
    }

    /// The time zone of people whose own is unknown.
    pub fn default_zone(&self) -> &str {
        self.reminders.time_zone.as_deref().unwrap_or("UTC")
    }

    /// The zone of a person for whom Slack shows this one.
    pub fn zone_or_default<'a>(&'a self, shown: Option<&'a str>) -> &'a str {
        let known = shown.filter(|zone| TimeZone::get(zone).is_ok());
        known.unwrap_or_else(|| self.default_zone())
    }

    /// The same as the zone of a person.
    pub fn unknown_zone(&self) -> PersonZone {
        zone_named(self.default_zone()).into()
    }

    /// What is due at that time, and when to look again. `None` if the item waits for the person no longer.
    pub fn plan(&self, row: &WaitingRow, at: Timestamp) -> Option<Plan> {
        let item = row.current_item()?;
        let waiting = &row.stored.waiting;
        Some(waiting.plan(item, row.snoozed_until, &self.reminders, at))
    }

    /// Plans when to look at the item for this person. `before` is what is stored.
    pub fn plan_waiting(
        &self,
        item: &ContractItem,
        user: SlackUser,
        zone: &str,
        before: Option<&Waiting>,
        now: Timestamp,
    ) -> Waiting {
        let mut waiting = Waiting::new(item, user, zone, before, now);
        // A snooze is found when somebody looks.
        let plan = waiting.plan(item, None, &self.reminders, now);
        waiting.next_look_at = plan.look_at(now);
        waiting
    }

    /// The time as of which a row is planned: that for which it was to be looked at, if that is a short time ago. What is
    /// due when work ends can then still be sent if Slack or a burst holds it up.
    pub fn as_of(&self, next_look_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let planned = next_look_at.filter(|at| *at <= now && now <= *at + GRACE);
        planned.unwrap_or(now)
    }

    /// The first time from now on, within this day, at which something is due that belongs in this part.
    pub fn first_due(
        &self,
        row: &WaitingRow,
        now: Timestamp,
        (day, part): (DueDate, Part),
    ) -> Option<(Timestamp, Stage)> {
        let waiting = &row.stored.waiting;
        let zone = waiting.zone();
        let from = self.as_of(waiting.next_look_at, now);
        self.looks(row, from)
            .take_while(|(at, _)| local_day(*at, zone.at(*at)) == day.date())
            .find_map(|(at, due)| Some((at, due.filter(|stage| stage.belongs_in(part))?)))
    }

    /// The times from `from` on at which the row is looked at if nothing is sent, and what is due then. Ends when nothing
    /// else will be due.
    pub fn looks<'a>(
        &'a self,
        row: &'a WaitingRow,
        from: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, Option<Stage>)> + 'a {
        let mut next = Some(from);
        let looks = iter::from_fn(move || {
            let at = next?;
            let plan = self.plan(row, at)?;
            next = plan.next_look_at;
            Some((at, plan.due))
        });
        looks.take(MOST_LOOKS)
    }

    /// Whether an execution that a sweep has started for its hour may wait for this time.
    pub fn is_soon(&self, at: Timestamp, now: Timestamp) -> bool {
        at.duration_since(now) <= LONGEST_SLEEP
    }

    /// When to look again at what is due today but is not sent today.
    pub fn next_day(&self, row: &WaitingRow, now: Timestamp) -> Option<Timestamp> {
        let zone = row.stored.waiting.zone();
        let tomorrow = local_day(now, zone.at(now)).tomorrow().ok()?;
        let midnight = zone
            .at(now)
            .to_timestamp(tomorrow.to_datetime(Time::midnight()));
        let midnight = midnight.ok()?;
        self.plan(row, midnight)?.look_at(midnight)
    }

    /// Stores when to look at the row again, unless somebody has changed it meanwhile. Returns whether it is stored.
    pub async fn look_again(
        &self,
        row: &WaitingRow,
        at: Option<Timestamp>,
    ) -> Result<bool, StepError> {
        let waiting = Waiting {
            next_look_at: at,
            ..row.stored.waiting.clone()
        };
        self.keep(row, &waiting).await
    }

    /// Stores the row if it has changed, unless somebody else has changed it meanwhile. Returns whether it is stored.
    pub async fn keep(&self, row: &WaitingRow, waiting: &Waiting) -> Result<bool, StepError> {
        let stored = &row.stored;
        if *waiting == stored.waiting {
            return Ok(true);
        }
        let id = &row.key.item_id;
        self.items.keep(id, waiting, Some(stored.revision)).await
    }
}

impl WaitingRow {
    /// The item, if it still waits for the person as the row says.
    pub fn current_item(&self) -> Option<&ContractItem> {
        let item = self.item.as_ref();
        item.filter(|_| self.stored.waiting.is_current(item))
    }
}

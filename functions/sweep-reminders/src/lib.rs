//! Starts a reminder for each person for whom something is due in the coming hour, and the escalation of each item for which
//! it is time.
//!
//! It runs every hour, ten minutes before the hour. Each hour is swept once, however often it runs, and a sweep also does
//! what earlier ones have missed: it begins at the first hour in which rows are left. A row leaves its hour only when
//! somebody has looked at it, so nothing is lost if a sweep is ended halfway or runs twice.
//!
//! An execution is named after the person and their day, so it is started once, and once an hour more as long as no message
//! has been sent.

use std::{collections::BTreeMap, time::Duration};

use apgl_client::{Client, StartError, WaitError};
use apgl_contract::{
    DueDate, Email, ItemId, Recovery, SlackUser, SlackUserId, StepError, reminders::Part,
    request::Operation,
};
use apgl_reminders::{Escalation, Waiting, local_day, zone_named};
use apgl_runtime::SettingError;
use apgl_stores::{BundleLedger, ItemRows, Planner, SlackUsers, Swept, UtcHour, WaitingRow};
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

/// A sweep covers the hours that begin until then.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

#[derive(Debug)]
pub struct Deps {
    pub planner: Planner,
    pub slack_users: SlackUsers,
    pub client: Client,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, client: Client) -> Result<Self, SettingError> {
        Ok(Self {
            planner: Planner::from_env(aws)?,
            slack_users: SlackUsers::from_env(aws)?,
            client,
        })
    }
}

/// Why an hour was not swept to its end. The next sweep begins where this one has stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSwept {
    #[error(transparent)]
    Table(#[from] StepError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Look(#[from] WaitError),
}

impl NotSwept {
    fn is_transient(&self) -> bool {
        match self {
            Self::Table(error) => error.name().recovery() == Recovery::Transient,
            Self::Start(error) => matches!(error, StartError::Unavailable { .. }),
            Self::Look(_) => true,
        }
    }
}

impl From<NotSwept> for Diagnostic {
    fn from(error: NotSwept) -> Self {
        Self {
            error_type: "NotSwept".to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// A row with which something is due at this time.
#[derive(Debug)]
struct Due {
    row: WaitingRow,
    at: Timestamp,
}

/// Sweeps the hours up to the coming one that have not been swept.
///
/// # Errors
/// [`NotSwept`].
pub async fn handle(deps: &Deps) -> Result<(), NotSwept> {
    Box::pin(sweep_hours(deps)).await.inspect_err(|error| {
        let message = "not all hours could be swept";
        // One alarm counts errors. Another one rings if nothing has been swept for a long time.
        if error.is_transient() {
            tracing::warn!(%error, "{message}");
        } else {
            tracing::error!(%error, "{message}");
        }
    })
}

async fn sweep_hours(deps: &Deps) -> Result<(), NotSwept> {
    let items = &deps.planner.items;
    let now = deps.planner.now().await?;
    let hour = UtcHour::of(now + AHEAD);
    let before = items.swept().await?;
    if before.as_ref().is_some_and(|before| before.last >= hour) {
        tracing::info!(%hour, "the hour was swept before");
        return Ok(());
    }
    let reminders = &deps.planner.reminders;
    let is_planned = before
        .as_ref()
        .is_some_and(|before| before.reminders == *reminders);
    if !is_planned {
        plan_all(deps, now).await?;
    }
    // The last sweep began before its hour, so rows could still be written into the hour before that one.
    let two_before = hour.before().before();
    let from = before.map_or(two_before, |before| before.from.min(two_before));
    let mut left = hour;
    let mut first_error = Ok(());
    for earlier in from.to(hour) {
        let (is_left, swept) = Box::pin(sweep(deps, earlier, now)).await?;
        if is_left {
            left = left.min(earlier);
        }
        first_error = first_error.and(swept);
    }
    let swept = Swept {
        last: hour,
        from: left,
        reminders: reminders.clone(),
    };
    items.record_sweep(&swept).await?;
    tracing::info!(%hour, %from, "swept the hours");
    count(&deps.planner, now).await;
    first_error
}

/// Plans all items anew: the settings have changed, or this is the first sweep.
async fn plan_all(deps: &Deps, now: Timestamp) -> Result<(), NotSwept> {
    let planner = &deps.planner;
    let items = &planner.items;
    for rows in items.all().await?.items {
        for row in rows.waiting_rows() {
            let plan = planner.plan(&row, now).unwrap_or_default();
            planner.look_again(&row, plan.look_at(now)).await?;
        }
        let others = note_others(deps, &rows, now).await?;
        let item = &rows.item;
        if item.due_date.is_none() {
            continue;
        }
        let before = items.escalating(&item.id).await?;
        let zone = zone_of(&rows, &others).unwrap_or_else(|| planner.default_zone());
        let until = rows.snoozed_until;
        if let Some(row) = planner.plan_escalation(item, zone, before.as_ref(), until, now) {
            items.keep_escalating(&item.id, &row).await?;
        }
    }
    tracing::info!("planned all items by the present settings");
    Ok(())
}

/// The time zone of the first person for whom the item waits and who is noted, here or in `others`.
fn zone_of<'a>(rows: &'a ItemRows, others: &'a [Waiting]) -> Option<&'a str> {
    let stored = rows.waiting.iter().map(|stored| &stored.waiting);
    let noted = stored.chain(others);
    let mut emails = rows.item.waiting_for.as_slice().iter();
    emails.find_map(|email| {
        let mut noted = noted.clone();
        let person = noted.find(|waiting| waiting.email == *email)?;
        Some(person.zone.as_str())
    })
}

/// Notes that the item waits for people of whom nothing is planned: a version without reminders has recorded it. Whoever is
/// not known from an earlier execution is noted with the item's next version.
async fn note_others(
    deps: &Deps,
    rows: &ItemRows,
    now: Timestamp,
) -> Result<Vec<Waiting>, NotSwept> {
    let planner = &deps.planner;
    let is_noted = |email: &Email| {
        let mut noted = rows.waiting.iter().map(|stored| &stored.waiting.email);
        noted.any(|noted| noted == email)
    };
    let emails = rows.item.waiting_for.as_slice().iter();
    let others: Vec<Email> = emails.filter(|email| !is_noted(email)).cloned().collect();
    let mut noted = Vec::new();
    if others.is_empty() {
        return Ok(noted);
    }
    for (email, known) in deps.slack_users.known(&others).await? {
        if known.is_bot {
            continue;
        }
        let zone = planner.zone_or_default(known.tz.as_deref());
        let id = known.id.clone();
        let user = SlackUser { email, id };
        let waiting = planner.plan_waiting(&rows.item, user, zone, None, now);
        // If an execution has noted it meanwhile, that stays.
        planner.items.keep(&rows.item.id, &waiting, None).await?;
        noted.push(waiting);
    }
    Ok(noted)
}

/// Logs how many items wait for somebody, and how many are overdue. Metrics are made of this line.
async fn count(planner: &Planner, now: Timestamp) {
    let zone = planner.unknown_zone();
    match planner.items.census(zone.at(now), now).await {
        Ok(census) => tracing::info!(
            itemsWaiting = census.waiting,
            itemsOverdue = census.overdue,
            "counted the items"
        ),
        // The next sweep counts again.
        Err(error) => tracing::warn!(%error, "can't count the items"),
    }
}

/// Sweeps one hour. Returns whether rows are left in it, and the first error. An error with one person or item does not
/// hold up the others.
async fn sweep(
    deps: &Deps,
    hour: UtcHour,
    now: Timestamp,
) -> Result<(bool, Result<(), NotSwept>), NotSwept> {
    let planner = &deps.planner;
    let in_hour = planner.items.in_hour(hour).await?;
    let mut people: BTreeMap<SlackUserId, Vec<Due>> = BTreeMap::new();
    let rows = planner.items.waiting_rows(&in_hour.waiting).await?;
    // The index has a row that can't be read, or that has just been deleted.
    let mut is_left = rows.len() < in_hour.waiting.len();
    for row in rows {
        let waiting = &row.stored.waiting;
        // The index can be behind the table.
        let Some(look_at) = waiting.next_look_at.filter(|at| UtcHour::of(*at) == hour) else {
            continue;
        };
        let at = look_at.max(now);
        let plan = planner.plan(&row, at).unwrap_or_default();
        match plan.due {
            Some(_) => {
                let due = people.entry(waiting.user_id.clone()).or_default();
                due.push(Due { row, at });
            }
            None => {
                planner.look_again(&row, plan.next_look_at).await?;
            }
        }
    }
    let mut first_error = Ok(());
    let mut note = |left: Result<bool, NotSwept>| match left {
        Ok(left) => is_left |= left,
        Err(error) => {
            is_left = true;
            if first_error.is_ok() {
                first_error = Err(error);
            }
        }
    };
    for (user, due) in people {
        note(Box::pin(remind(deps, &user, due, now)).await);
    }
    for item_id in &in_hour.escalating {
        note(Box::pin(escalate(deps, item_id, hour, now)).await);
    }
    Ok((is_left, first_error))
}

/// Has the item escalated if it still waits for somebody. Returns whether its row is left for a later sweep.
async fn escalate(
    deps: &Deps,
    item_id: &ItemId,
    hour: UtcHour,
    now: Timestamp,
) -> Result<bool, NotSwept> {
    let planner = &deps.planner;
    let items = &planner.items;
    let Some(mut row) = items.escalating(item_id).await? else {
        return Ok(false);
    };
    let Some(look_at) = row.next_look_at.filter(|at| UtcHour::of(*at) == hour) else {
        return Ok(false);
    };
    let at = look_at.max(now);
    let until = items.snoozed_until(item_id).await?;
    let item = items.latest(item_id).await?;
    let plan = item.and_then(|item| planner.escalation(&row, &item, until, at));
    if plan == Some(Escalation::Due) {
        let zone = zone_named(&row.zone);
        let day = local_day(at, &zone);
        let key = format!("{item_id}/{}/{day}", row.due_date.date());
        let request = json!({ "itemId": item_id, "dueDate": row.due_date });
        if is_running(deps, Operation::Escalate, &key, &request).await? {
            return Ok(true);
        }
        // It ended without an escalation: it is tried again the next day.
        row.next_look_at = at.checked_add(SignedDuration::from_hours(24)).ok();
    } else {
        row.next_look_at = plan.and_then(|plan| match plan {
            Escalation::LookAt(at) => Some(at),
            Escalation::Due => None,
        });
    }
    items.keep_escalating(item_id, &row).await?;
    Ok(false)
}

/// Has the person reminded of what is due. Returns whether rows are left for a later sweep.
async fn remind(
    deps: &Deps,
    user: &SlackUserId,
    due: Vec<Due>,
    now: Timestamp,
) -> Result<bool, NotSwept> {
    let planner = &deps.planner;
    let day_of = |due: &Due| {
        let zone = due.row.stored.waiting.zone();
        DueDate::from(local_day(due.at, zone.at(due.at)))
    };
    let Some(day) = due.iter().map(day_of).min_by_key(|day| day.date()) else {
        return Ok(false);
    };
    let last = planner.items.latest_bundle(user).await?;
    let has_sent = |part| last.as_ref().is_some_and(|last| last.has_sent(day, part));
    let second = (day, Part::Second);
    let cant_wait = |row: &WaitingRow| {
        let at = planner.first_due(row, now, second);
        at.is_some_and(|(at, _)| planner.is_soon(at, now))
    };
    if !has_sent(Part::First) {
        // The execution for the first message may have read what is due before this was.
        if due.iter().any(|due| cant_wait(&due.row)) && has_started(deps, user, day).await? {
            start(deps, user, second, now).await?;
        }
        start(deps, user, (day, Part::First), now).await?;
        return Ok(true);
    }
    let mut is_left = false;
    for Due { row, .. } in &due {
        if cant_wait(row) && !has_sent(Part::Second) {
            is_left = true;
        } else {
            let next = planner.next_day(row, now);
            planner.look_again(row, next).await?;
        }
    }
    if is_left {
        start(deps, user, second, now).await?;
    }
    Ok(is_left)
}

/// Whether the execution for the day's first message is running.
async fn has_started(deps: &Deps, user: &SlackUserId, day: DueDate) -> Result<bool, NotSwept> {
    let key = key(user, day, Part::First);
    let first = deps.client.execution_of(Operation::Remind, &key)?;
    // Boxed, because its future is large.
    let ended = Box::pin(first.wait(Duration::ZERO)).await;
    Ok(matches!(ended, Err(WaitError::StillRunning { .. })))
}

/// Starts this part of the day's messages, unless its execution is running. If one has ended without a message, because its
/// items had moved or because it failed, another one is started. Bundles make sure that nothing is sent twice.
async fn start(
    deps: &Deps,
    user: &SlackUserId,
    (day, part): (DueDate, Part),
    now: Timestamp,
) -> Result<(), NotSwept> {
    let key = key(user, day, part);
    let request = json!({ "userId": user, "day": day, "part": part });
    if !is_running(deps, Operation::Remind, &key, &request).await? {
        let again = format!("{key}/{}", UtcHour::of(now));
        is_running(deps, Operation::Remind, &again, &request).await?;
    }
    Ok(())
}

/// Starts the execution with this key, unless it was started before. Returns whether it is still running.
async fn is_running(
    deps: &Deps,
    operation: Operation,
    key: &str,
    request: &Value,
) -> Result<bool, NotSwept> {
    // Boxed, because their futures are large.
    let execution = Box::pin(deps.client.start(operation, key, request)).await?;
    match Box::pin(execution.wait(Duration::ZERO)).await {
        Err(WaitError::StillRunning { .. } | WaitError::NoSuchExecution) => Ok(true),
        Ok(_)
        | Err(
            WaitError::Failed(_)
            | WaitError::TimedOut
            | WaitError::Aborted
            // It has succeeded.
            | WaitError::UnreadableOutcome(_),
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The idempotency key of a part of a day's messages.
fn key(SlackUserId(user): &SlackUserId, day: DueDate, part: Part) -> String {
    let day = day.date();
    match part {
        Part::First => format!("{user}/{day}"),
        Part::Second => format!("{user}/{day}/2"),
    }
}

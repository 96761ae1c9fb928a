//! What is due for a person, and the direct message in which they are told.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use apgl_contract::{
    DirectMessage, DueDate, Email, Invocation, SkipReason, SlackUserId, StepError,
    reminders::{Part, RemindedOf, Stage},
};
use apgl_delivery::{Content, SlackOutbox, Target, reminder::Desk};
use apgl_reminders::{is_working_time, local_day};
use apgl_stores::{
    Bundle, BundleContent, BundleEntry, Delivery, GRACE, Place, Planner, WaitingKey, WaitingRow,
    despite_conflicts,
};
use jiff::Timestamp;

use crate::{
    Deps,
    content::{Line, content},
};

/// The most items of which one message reminds. The others are due on the next working day.
const MOST_ITEMS: usize = 100;

/// What is due for a person, who may be unreachable.
pub(crate) struct Agenda<'a> {
    pub planner: &'a Planner,
    pub user: &'a SlackUserId,
    pub day: DueDate,
    /// Whose addresses these are now, as far as Slack was asked.
    pub owners: HashMap<Email, SlackUserId>,
    /// The addresses at which the person can't be reminded.
    pub skipped: HashMap<Email, SkipReason>,
    /// Why they can't be reminded at any address, if that is so.
    pub unreachable: Option<SkipReason>,
    /// The time zones of the addresses' owners.
    pub zones: HashMap<Email, String>,
}

pub(crate) struct PersonsDesk<'a> {
    pub deps: &'a Deps,
    pub invocation: &'a Invocation,
    pub attempt_id: &'a str,
    pub conversation: &'a DirectMessage,
    pub agenda: &'a Agenda<'a>,
}

/// A row with which something is due.
pub(crate) struct Due {
    row: WaitingRow,
    stage: Stage,
}

impl Agenda<'_> {
    /// What is due now in this part, the most urgent first. Also stores when to look at the other rows again.
    pub async fn read(&self, part: Part, now: Timestamp) -> Result<Vec<Due>, StepError> {
        let planner = self.planner;
        let keys = planner.items.of_person(self.user).await?;
        let mut due = Vec::new();
        for row in planner.items.waiting_rows(&keys).await? {
            let mut now_known = row.clone();
            let waiting = &mut now_known.stored.waiting;
            let owner = self.owners.get(&waiting.email);
            if owner.is_none() && !self.skipped.contains_key(&waiting.email) {
                // Nobody has asked yet whether and to whom this address may be written to.
                continue;
            }
            if let Some(owner) = owner
                && owner != self.user
            {
                // The next sweep finds it, and reminds whom the address belongs to.
                waiting.user_id = owner.clone();
                waiting.next_look_at = Some(now);
                planner.keep(&row, waiting).await?;
                continue;
            }
            if let Some(zone) = self.zones.get(&waiting.email) {
                waiting.moves_to(zone, now);
            }
            let as_of = planner.as_of(row.stored.waiting.next_look_at, now);
            let plan = planner.plan(&now_known, as_of).unwrap_or_default();
            let next_look_at = match plan.due {
                None => plan.next_look_at,
                Some(stage) if !stage.belongs_in(part) => planner.next_day(&now_known, now),
                Some(stage) => {
                    let Some(reason) = self.skip_reason(&row.key.email) else {
                        due.push(Due {
                            row: now_known,
                            stage,
                        });
                        continue;
                    };
                    let passed_over = &mut now_known.stored.waiting.passed_over;
                    passed_over.insert(stage, reason);
                    planner
                        .plan(&now_known, now)
                        .and_then(|plan| plan.next_look_at)
                }
            };
            let waiting = &mut now_known.stored.waiting;
            waiting.next_look_at = next_look_at;
            planner.keep(&row, waiting).await?;
        }
        due.sort_by_cached_key(|Due { row, stage }| {
            let due_date = row.stored.waiting.due_date.map(DueDate::date);
            (Reverse(stage.urgency()), due_date, row.key.item_id.clone())
        });
        due.truncate(MOST_ITEMS);
        Ok(due)
    }

    /// Why the person can't be reminded at this address.
    fn skip_reason(&self, email: &Email) -> Option<SkipReason> {
        self.skipped.get(email).copied().or(self.unreachable)
    }
}

impl PersonsDesk<'_> {
    /// Records that the person was told, unless the item has come to another state since.
    async fn record_entry(&self, bundle: &Bundle, entry: &BundleEntry) -> Result<(), StepError> {
        let planner = &self.deps.planner;
        despite_conflicts(async || {
            let rows = planner.items.waiting_rows(&[key_of(entry)]).await?;
            let row = rows.first();
            let Some(row) = row.filter(|row| row.stored.waiting.since <= bundle.stored_at) else {
                return Ok(Some(()));
            };
            let now = planner.now().await?;
            let mut told = row.clone();
            let waiting = &mut told.stored.waiting;
            waiting.told.insert(entry.of.stage, bundle.stored_at);
            if let Some(zone) = self.agenda.zones.get(&waiting.email) {
                waiting.moves_to(zone, now);
            }
            let plan = planner.plan(&told, now);
            told.stored.waiting.next_look_at = plan.and_then(|plan| plan.next_look_at);
            let is_kept = planner.keep(row, &told.stored.waiting).await?;
            Ok(is_kept.then_some(()))
        })
        .await
    }
}

impl Desk for PersonsDesk<'_> {
    type Outbox<'a>
        = SlackOutbox<'a>
    where
        Self: 'a;

    async fn now(&self) -> Result<Timestamp, StepError> {
        self.deps.planner.now().await
    }

    async fn due(
        &self,
        part: Part,
        now: Timestamp,
    ) -> Result<Option<(Vec<BundleEntry>, BundleContent)>, StepError> {
        let due = self.agenda.read(part, now).await?;
        let with_items = || {
            due.iter()
                .filter_map(|due| Some((due, due.row.current_item()?)))
        };
        let is_today = |due: &Due| {
            let zone = due.row.stored.waiting.zone();
            local_day(now, zone.at(now)) == self.agenda.day.date()
        };
        // An execution that is late does not remind on another day.
        if due.is_empty() || !due.iter().all(is_today) {
            return Ok(None);
        }
        let entries = with_items().map(|(due, item)| BundleEntry {
            email: due.row.key.email.clone(),
            of: RemindedOf::new(item.id.clone(), item.version, due.stage),
        });
        // An item that names the person by two addresses is shown once.
        let mut shown = BTreeSet::new();
        let lines = with_items().filter(|(_, item)| shown.insert(item.id.clone()));
        let lines = lines.map(|(due, item)| Line {
            item,
            stage: due.stage,
            since: due.row.stored.waiting.since,
        });
        Ok(Some((
            entries.collect(),
            content(&lines.collect::<Vec<_>>()),
        )))
    }

    async fn holds(&self, bundle: &Bundle) -> Result<bool, StepError> {
        let planner = &self.deps.planner;
        let now = planner.now().await?;
        let keys: Vec<WaitingKey> = bundle.entries.iter().map(key_of).collect();
        let rows = planner.items.waiting_rows(&keys).await?;
        let versions: BTreeSet<_> = bundle
            .entries
            .iter()
            .map(|entry| (&entry.of.item_id, entry.of.version))
            .collect();
        let holds = |row: &WaitingRow| {
            let Some(item) = row.current_item() else {
                return false;
            };
            let zone = row.stored.waiting.zone();
            let zone = zone.at(now);
            let rules = planner.reminders.of_item(item);
            versions.contains(&(&item.id, item.version))
                && local_day(now, zone) == bundle.day.date()
                && (is_working_time(now, zone, &rules) || now <= bundle.stored_at + GRACE)
        };
        Ok(rows.len() == bundle.entries.len() && rows.iter().all(holds))
    }

    async fn record(&self, bundle: &Bundle) -> Result<(), StepError> {
        for entry in &bundle.entries {
            self.record_entry(bundle, entry).await?;
        }
        Ok(())
    }

    fn delivery(&self, bundle: &Bundle) -> Delivery {
        Delivery::of_no_execution(
            format!("#remind/{}#{}", self.agenda.user.0, bundle.number),
            self.attempt_id,
            Place::in_channel(&self.conversation.id),
            self.invocation.deadline,
        )
    }

    fn outbox<'a>(&'a self, bundle: &'a Bundle, delivery: &'a Delivery) -> SlackOutbox<'a> {
        let content = Content {
            text: &bundle.content.text,
            blocks: Some(&bundle.content.blocks),
            unfurl_links: false,
            unfurl_media: false,
            mentions_people: false,
        };
        let target = Target::Person(self.conversation);
        let directory = &self.deps.directory;
        SlackOutbox::new(directory, self.invocation, target, content, delivery)
    }
}

fn key_of(entry: &BundleEntry) -> WaitingKey {
    WaitingKey {
        item_id: entry.of.item_id.clone(),
        email: entry.email.clone(),
    }
}

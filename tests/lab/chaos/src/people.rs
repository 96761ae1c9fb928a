//! What people do in Slack between the steps and during them: they rename channels, archive, convert and share them,
//! remove the bot, leave, and get new addresses. After a while they undo it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fastrand::Rng;
use serde_json::Value;
use slack_sandbox::{Admin, admin::AdminError};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::JoinSet,
    time::sleep,
};

use crate::dice::{Dice, Seam};

const KINDS: [(&str, u32); 7] = [
    (RENAMED, 3),
    (ARCHIVED, 2),
    (CONVERTED, 3),
    (SHARED, 3),
    (BOT_REMOVED, 2),
    (MEMBER_LEFT, 1),
    (ADDRESS_CHANGED, 1),
];
pub const RENAMED: &str = "renamed";
pub const ARCHIVED: &str = "archived";
pub const CONVERTED: &str = "converted";
pub const SHARED: &str = "shared";
const BOT_REMOVED: &str = "bot removed";
const MEMBER_LEFT: &str = "member left";
const ADDRESS_CHANGED: &str = "address changed";

/// A step takes some tens of milliseconds, so most changes that come this late are made in the middle of its work.
const LATEST_CHANGE_MILLIS: u64 = 60;
/// How soon somebody undoes a change.
const UNDONE_AFTER_MILLIS: std::ops::Range<u64> = 200..4_000;

/// The people of a run. Clones share their state.
#[derive(Debug, Clone)]
pub struct People {
    dice: Dice,
    sandbox: Arc<OnceLock<Admin>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The channels that executions use, by the requested names.
    channels: BTreeSet<String>,
    addresses: Vec<String>,
    /// The channels and addresses that somebody has changed and not yet restored.
    changed: BTreeSet<String>,
    /// How often each kind of change was made.
    made: BTreeMap<&'static str, u64>,
    /// The times at which the invocations that post began, by the execution's ARN.
    posting: Posting,
    tasks: JoinSet<()>,
}

/// The functions that post messages.
const POSTING: [&str; 3] = ["post-message", "send-reminder", "send-escalation"];

/// The times at which invocations that post began, in microseconds since 1970, by the execution's ARN.
pub type Posting = BTreeMap<String, Vec<u64>>;

/// One change: what was done, to what, and how to undo it.
struct Change {
    kind: &'static str,
    /// The requested name of a channel, or an address.
    what: String,
    rng: Rng,
}

impl People {
    pub fn new(dice: Dice) -> Self {
        Self {
            dice,
            sandbox: Arc::default(),
            state: Arc::default(),
        }
    }

    /// Lets them change these people's addresses, and the channels of `sandbox` that executions use.
    pub async fn begin(&self, sandbox: &Admin, addresses: &[String]) {
        let _ = self.sandbox.set(sandbox.clone());
        self.state().await.addresses = addresses.to_vec();
    }

    /// Lets somebody change something right before an invocation begins, or while it runs.
    pub async fn before(&self, function: &str, payload: &Value) {
        let channel = channel_of(payload);
        if let Some(channel) = channel {
            self.state().await.channels.insert(channel.to_owned());
        }
        self.roll(channel).await;
        if let Some(execution) = payload["run"]["executionId"].as_str()
            && POSTING.iter().any(|posting| function.ends_with(posting))
        {
            let mut state = self.state().await;
            let began = state.posting.entry(execution.to_owned()).or_default();
            began.push(epoch_micros());
        }
    }

    async fn roll(&self, channel: Option<&str>) {
        let Some((kind, mut rng)) = self.dice.roll(Seam::People, &KINDS) else {
            return;
        };
        let mut state = self.state().await;
        let what = match channel {
            _ if kind == ADDRESS_CHANGED => rng.choice(&state.addresses).cloned(),
            Some(channel) => Some(channel.to_owned()),
            None => rng.choice(&state.channels).cloned(),
        };
        let Some(what) = what.filter(|what| state.changed.insert(what.clone())) else {
            return;
        };
        let is_during = rng.bool();
        let mut change = Change { kind, what, rng };
        let people = self.clone();
        if is_during {
            let later = Duration::from_millis(change.rng.u64(..LATEST_CHANGE_MILLIS));
            state.tasks.spawn(async move {
                sleep(later).await;
                let undo = people.make(&mut change).await;
                people.undo(change, undo).await;
            });
            return;
        }
        drop(state);
        let undo = people.make(&mut change).await;
        let undoing = async move { people.undo(change, undo).await };
        self.state().await.tasks.spawn(undoing);
    }

    /// Makes the change. Returns how to undo it; `None` if nothing was changed.
    async fn make(&self, change: &mut Change) -> Option<Undo> {
        let sandbox = self.sandbox.get()?;
        let undo = change.make(sandbox).await.ok().flatten()?;
        *self.state().await.made.entry(change.kind).or_default() += 1;
        Some(undo)
    }

    async fn undo(&self, mut change: Change, undo: Option<Undo>) {
        if let (Some(sandbox), Some(undo)) = (self.sandbox.get(), undo) {
            sleep(Duration::from_millis(change.rng.u64(UNDONE_AFTER_MILLIS))).await;
            if let Err(error) = change.undo(sandbox, undo).await {
                // An execution has created another channel with the name.
                let is_expected = change.kind == RENAMED && matches!(error, AdminError::Refused(_));
                if !is_expected {
                    eprintln!("  can't undo `{}`: {error}", change.kind);
                }
            }
        }
        self.state().await.changed.remove(&change.what);
    }

    /// Waits until everything is undone.
    pub async fn wait_until_undone(&self) {
        let tasks = std::mem::take(&mut self.state().await.tasks);
        tasks.join_all().await;
    }

    /// How often each kind of change was made.
    pub async fn made(&self) -> BTreeMap<&'static str, u64> {
        self.state().await.made.clone()
    }

    pub async fn posting(&self) -> Posting {
        self.state().await.posting.clone()
    }

    async fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }
}

/// What undoes a change.
enum Undo {
    RenameFrom(String),
    Unarchive,
    Convert { is_private: bool },
    Unshare,
    InviteBot,
    Join(String),
    ChangeAddressFrom(String),
}

impl Change {
    async fn make(&mut self, sandbox: &Admin) -> Result<Option<Undo>, AdminError> {
        let what = self.what.as_str();
        if self.kind == ADDRESS_CHANGED {
            let new = format!("new-{what}");
            sandbox.change_email(what, &new).await?;
            return Ok(Some(Undo::ChangeAddressFrom(new)));
        }
        let Some(channel) = sandbox.channel(what).await? else {
            return Ok(None);
        };
        Ok(Some(match self.kind {
            RENAMED => {
                let new = format!("{what}-{:08x}", self.rng.u32(..));
                sandbox.rename_channel(what, &new).await?;
                Undo::RenameFrom(new)
            }
            ARCHIVED => {
                sandbox.archive_channel(what).await?;
                Undo::Unarchive
            }
            CONVERTED if channel.is_private => {
                sandbox.convert_to_public(what).await?;
                Undo::Convert { is_private: true }
            }
            CONVERTED => {
                sandbox.convert_to_private(what).await?;
                Undo::Convert { is_private: false }
            }
            SHARED => {
                sandbox.share_channel(what, true).await?;
                Undo::Unshare
            }
            BOT_REMOVED => {
                sandbox.remove_bot(what).await?;
                Undo::InviteBot
            }
            _ => {
                let Some(member) = self.rng.choice(&channel.emails) else {
                    return Ok(None);
                };
                sandbox.remove_member(what, member).await?;
                Undo::Join(member.clone())
            }
        }))
    }

    async fn undo(&self, sandbox: &Admin, undo: Undo) -> Result<(), AdminError> {
        let what = self.what.as_str();
        match undo {
            Undo::RenameFrom(new) => sandbox.rename_channel(&new, what).await,
            Undo::Unarchive => {
                sandbox.unarchive_channel(what).await?;
                sandbox.add_bot(what).await
            }
            Undo::Convert { is_private: true } => sandbox.convert_to_private(what).await,
            Undo::Convert { is_private: false } => sandbox.convert_to_public(what).await,
            Undo::Unshare => sandbox.share_channel(what, false).await,
            Undo::InviteBot => sandbox.add_bot(what).await,
            Undo::Join(member) => sandbox.add_member(what, &member).await,
            Undo::ChangeAddressFrom(new) => sandbox.change_email(&new, what).await,
        }
    }
}

/// The name of the channel that a step works with, if its payload names one.
fn channel_of(payload: &Value) -> Option<&str> {
    let input = &payload["input"];
    let names = [
        &input["request"]["channelName"],
        &input["channelName"],
        &input["channel"]["name"],
    ];
    names.into_iter().find_map(Value::as_str)
}

fn epoch_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since_epoch.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

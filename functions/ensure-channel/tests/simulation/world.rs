//! The model of Slack, the tables and the rate limiter.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::{Duration, SystemTime},
};

use apgl_rate_limit::gcra::Gcra;
use apgl_slack::quotas::{Quota, Slot};
use apgl_stores::CreationClaim;

pub const CREATE: &str = "conversations.create";
pub const LIST: &str = "conversations.list";

/// Slack, the tables and the rate limiter.
#[derive(Default)]
pub struct World {
    /// The channels in Slack: name and time of creation.
    pub slack: HashMap<String, SystemTime>,
    /// The names of those that the bot can't see.
    pub hidden: HashSet<String>,
    /// The channels in the table: name and the execution that created the channel.
    pub table: HashMap<String, Option<String>>,
    pub claims: HashMap<String, CreationClaim>,
    pub quotas: HashMap<&'static str, Gcra>,
    /// The reserved slot and the number of unused calls, by execution and quota.
    pub reservations: HashMap<(String, &'static str), (Slot, u32)>,
    /// The number of calls taken from each quota, used or unused.
    pub taken: BTreeMap<&'static str, u32>,
    /// The executions whose next creation succeeds, but whose response is lost.
    pub lost_answers: HashSet<String>,
    pub pages: u32,
    pub scan: Scan,
}

#[derive(Default)]
pub struct Scan {
    pub owner: Option<String>,
    pub began: Option<SystemTime>,
    pub lease_ends_at: Option<SystemTime>,
    pub paused_until: Option<SystemTime>,
    pub page: u32,
    /// When the last complete scan began.
    pub complete: Option<SystemTime>,
}

pub type Shared = Rc<RefCell<World>>;

/// Twenty calls a minute, with bursts of ten.
pub fn quota(name: &'static str) -> Quota {
    Quota {
        name: name.to_owned(),
        interval: Duration::from_secs(3),
        burst: 10,
    }
}

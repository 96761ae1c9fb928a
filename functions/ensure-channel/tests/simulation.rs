//! Runs the real protocol in virtual time, with many executions that need channels at the same time.
//!
//! Slack, the table, the rate limiter and the scan are models. They allow and refuse the same calls as in
//! production. Each call takes some virtual time, so the executions interleave.
#![allow(clippy::unwrap_used)]

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{Recovery, StepError, Visibility};
use apgl_directory::Found;
use apgl_rate_limit::gcra::Gcra;
use apgl_slack::quotas::{Quota, Slot};
use apgl_stores::{Channel, Claims, CreationClaim};
use ensure_channel::protocol::{Workspace, ensure};
use futures_util::future::join_all;
use rstest::rstest;
use tokio::time::{Instant, sleep};

/// How often a step may wait without a reservation, as in production.
const WAITS: u32 = 100;
const TABLE_CALL: Duration = Duration::from_millis(10);
const SLACK_CALL: Duration = Duration::from_millis(300);
const PAGE: Duration = Duration::from_secs(1);
/// How long one invocation can scan.
const INVOCATION: Duration = Duration::from_secs(20);
const SCAN_LEASE: Duration = Duration::from_secs(28);
const OWNERS_HEAD_START: Duration = Duration::from_secs(10);

const CREATE: &str = "conversations.create";
const LIST: &str = "conversations.list";

/// Slack, the tables and the rate limiter.
#[derive(Default)]
struct World {
    /// The channels in Slack: name and time of creation.
    slack: HashMap<String, SystemTime>,
    /// The channels in the table: name and the execution that created the channel.
    table: HashMap<String, Option<String>>,
    claims: HashMap<String, CreationClaim>,
    quotas: HashMap<&'static str, Gcra>,
    /// The reserved slot and the number of unused calls, by execution and quota.
    reservations: HashMap<(String, &'static str), (Slot, u32)>,
    /// The number of calls taken from each quota, used or unused.
    taken: BTreeMap<&'static str, u32>,
    /// The executions whose next creation succeeds, but whose response is lost.
    lost_answers: HashSet<String>,
    pages: u32,
    scan: Scan,
}

#[derive(Default)]
struct Scan {
    owner: Option<String>,
    began: Option<SystemTime>,
    lease_ends_at: Option<SystemTime>,
    paused_until: Option<SystemTime>,
    page: u32,
    /// When the last complete scan began.
    complete: Option<SystemTime>,
}

type Shared = Rc<RefCell<World>>;

/// Twenty calls a minute, with bursts of ten.
fn quota(name: &'static str) -> Quota {
    Quota {
        name: name.to_owned(),
        interval: Duration::from_secs(3),
        burst: 10,
    }
}

/// One execution's view of the world.
struct Execution {
    world: Shared,
    began: Instant,
    id: String,
    name: String,
}

impl Execution {
    fn millis(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }

    /// Takes a call from the quota, as the rate limiter does.
    fn acquire(&self, method: &'static str, planned: u32) -> Result<(), StepError> {
        let now = self.millis();
        let quota = quota(method);
        let mut world = self.world.borrow_mut();
        let key = (self.id.clone(), method);
        let gcra = world.quotas.get(method).copied().unwrap_or_default();
        let limited = |ready_at: u64| StepError::SlackRateLimited {
            method,
            retry_after: Duration::from_millis(ready_at - now),
            is_certain: true,
        };
        if let Some((slot, left)) = world.reservations.get(&key).cloned() {
            if gcra.ready_at(&slot) > now {
                return Err(limited(gcra.ready_at(&slot)));
            }
            match left {
                1 => world.reservations.remove(&key),
                _ => world.reservations.insert(key, (slot, left - 1)),
            };
            return Ok(());
        }
        let mut after = gcra.after(&quota, 1, now);
        let mut calls = 1;
        let is_now = after.ready_at(&after.last_slot(&quota)) <= now;
        if !is_now {
            calls = planned.clamp(1, quota.burst);
            after = after.after(&quota, calls - 1, now);
        }
        world.quotas.insert(method, after);
        *world.taken.entry(method).or_default() += calls;
        if is_now {
            return Ok(());
        }
        let slot = after.last_slot(&quota);
        let ready_at = after.ready_at(&slot);
        world.reservations.insert(key, (slot, calls));
        Err(limited(ready_at))
    }

    fn found(&self, created_by: Option<String>) -> Found {
        Found {
            channel: Channel {
                name: self.name.clone(),
                id: format!("C-{}", self.name),
                visibility: Visibility::Private,
                archived: false,
            },
            created_by,
        }
    }

    fn known_in(&self, world: &World) -> Option<Found> {
        let created_by = world.table.get(&self.name)?;
        Some(self.found(created_by.clone()))
    }

    /// Runs the step until it succeeds, with the waits that it asks for. Returns the channel and the time it took.
    async fn run(self) -> Result<(Found, Duration), StepError> {
        let mut waits = 0;
        loop {
            let error = match ensure(&self, &self.id).await {
                Ok(found) => return Ok((found, self.began.elapsed())),
                Err(error) => error,
            };
            waits += u32::from(!error.is_certain());
            let last = error.name();
            match last.recovery() {
                Recovery::Wait if waits > WAITS => {
                    return Err(StepError::SlackWaitsExhausted { last });
                }
                Recovery::Wait | Recovery::Transient => {}
                _ => return Err(error),
            }
            // A `Wait` state waits for whole seconds.
            let retry_after = error.retry_after().unwrap_or(Duration::from_secs(2));
            sleep(Duration::from_secs(retry_after.as_secs() + 1)).await;
        }
    }

    fn in_progress(&self, retry_after: Duration) -> StepError {
        StepError::ChannelScanInProgress {
            channel: self.name.clone(),
            retry_after,
        }
    }

    /// Claims the scan, as the directory does.
    fn claim_scan(&self) -> Result<(), StepError> {
        let now = self.now();
        let scan = &mut self.world.borrow_mut().scan;
        let left = |until: Option<SystemTime>| until?.duration_since(now).ok();
        if scan.owner.as_ref() != Some(&self.id) {
            if let Some(left) = left(scan.paused_until) {
                return Err(self.in_progress(left));
            }
            if left(scan.lease_ends_at).is_some() {
                let taken = now.duration_since(scan.began.unwrap()).unwrap();
                let (shortest, longest) = (Duration::from_secs(2), Duration::from_secs(30));
                return Err(self.in_progress((taken / 10).clamp(shortest, longest)));
            }
        }
        scan.owner = Some(self.id.clone());
        scan.began.get_or_insert(now);
        scan.lease_ends_at = Some(now + SCAN_LEASE);
        Ok(())
    }
}

impl Claims for Execution {
    async fn replace(
        &self,
        expected: Option<&CreationClaim>,
        claim: Option<&CreationClaim>,
    ) -> Result<Result<(), Option<CreationClaim>>, StepError> {
        sleep(TABLE_CALL).await;
        let claims = &mut self.world.borrow_mut().claims;
        let stored = claims.get(&self.name);
        if stored != expected {
            return Ok(Err(stored.cloned()));
        }
        match claim {
            Some(claim) => claims.insert(self.name.clone(), claim.clone()),
            None => claims.remove(&self.name),
        };
        Ok(Ok(()))
    }
}

impl Workspace for Execution {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(1_000) + self.began.elapsed()
    }

    fn lasts(&self, slack_time: Duration) -> Duration {
        slack_time
    }

    fn in_slack(&self, duration: Duration) -> Duration {
        duration
    }

    async fn known(&self) -> Result<(Option<Found>, Option<CreationClaim>), StepError> {
        sleep(TABLE_CALL).await;
        let world = self.world.borrow();
        Ok((self.known_in(&world), world.claims.get(&self.name).cloned()))
    }

    async fn create(&self) -> Result<Option<Found>, StepError> {
        self.acquire(CREATE, 1)?;
        sleep(SLACK_CALL).await;
        let now = self.now();
        let mut world = self.world.borrow_mut();
        if world.slack.contains_key(&self.name) {
            return Ok(None);
        }
        world.slack.insert(self.name.clone(), now);
        if world.lost_answers.remove(&self.id) {
            return Err(StepError::SlackUnavailable {
                method: CREATE,
                reason: "no answer in time".to_owned(),
            });
        }
        let made_by = Some(self.id.clone());
        world.table.insert(self.name.clone(), made_by.clone());
        Ok(Some(self.found(made_by)))
    }

    async fn find_by_scan(&self, since: SystemTime) -> Result<Option<Found>, StepError> {
        let deadline = self.began.elapsed() + INVOCATION;
        loop {
            sleep(TABLE_CALL).await;
            let complete = self.world.borrow().scan.complete;
            if complete.is_some_and(|complete| complete >= since) {
                return Ok(self.known_in(&self.world.borrow()));
            }
            self.claim_scan()?;
            if self.began.elapsed() + PAGE > deadline {
                let scan = &mut self.world.borrow_mut().scan;
                (scan.owner, scan.lease_ends_at) = (None, None);
                return Err(StepError::StepUnfinished { what: "the scan" });
            }
            let planned = self.world.borrow().pages - self.world.borrow().scan.page;
            if let Err(error) = self.acquire(LIST, planned) {
                let until = self.now() + error.retry_after().unwrap();
                let scan = &mut self.world.borrow_mut().scan;
                scan.paused_until = Some(until);
                scan.lease_ends_at = Some(until + OWNERS_HEAD_START);
                return Err(error);
            }
            sleep(PAGE).await;
            let mut world = self.world.borrow_mut();
            world.scan.page += 1;
            if world.scan.page == world.pages {
                let complete = world.scan.began;
                world.scan = Scan {
                    complete,
                    ..Scan::default()
                };
                let seen: Vec<String> = world.slack.keys().cloned().collect();
                for name in seen {
                    world.table.entry(name).or_default();
                }
            }
        }
    }

    async fn recognise(&self, found: Found, since: SystemTime) -> Result<Found, StepError> {
        sleep(SLACK_CALL).await;
        let mut world = self.world.borrow_mut();
        if world.slack[&self.name] < since {
            return Ok(found);
        }
        let made_by = Some(self.id.clone());
        world.table.insert(self.name.clone(), made_by.clone());
        Ok(self.found(made_by))
    }
}

/// `count` executions that need `names` channels, in a world where a scan reads `pages` pages.
fn executions(count: usize, names: usize, pages: u32) -> (Shared, Vec<Execution>) {
    let world = World {
        pages,
        ..World::default()
    };
    let (world, began) = (Rc::new(RefCell::new(world)), Instant::now());
    let execution = |n: usize| Execution {
        world: world.clone(),
        began,
        id: format!("execution-{n}"),
        name: format!("channel-{}", n % names),
    };
    let executions = (0..count).map(execution).collect();
    (world, executions)
}

fn two_executions() -> (Shared, [Execution; 2]) {
    let (world, executions) = executions(2, 1, 1);
    (world, executions.try_into().ok().unwrap())
}

#[rstest]
#[case::twenty_new_channels(400, 20)]
#[case::sixty_new_channels(600, 60)]
#[tokio::test(start_paused = true)]
async fn each_new_channel_takes_one_call_and_nobody_waits_longer_than_slack_asks(
    #[case] count: usize,
    #[case] names: usize,
) {
    let (world, executions) = executions(count, names, 1);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    let ended: Vec<(Found, Duration)> = ended.into_iter().map(Result::unwrap).collect();
    let world = world.borrow();
    let calls = u32::try_from(names).unwrap();
    assert_eq!(world.taken, BTreeMap::from([(CREATE, calls)]));
    assert_eq!(world.claims, HashMap::new());
    let theory = quota(CREATE).interval * (calls - quota(CREATE).burst);
    let last = ended.iter().map(|(_, at)| *at).max().unwrap();
    assert!(
        last <= theory * 2,
        "took {last:?}; Slack's quota requires {theory:?}"
    );
    let makers = ended
        .iter()
        .filter_map(|(found, _)| found.created_by.as_ref());
    assert_eq!(makers.collect::<HashSet<_>>().len(), names);
}

#[tokio::test(start_paused = true)]
async fn executions_that_look_for_a_taken_name_wait_for_one_long_scan() {
    let (world, executions) = executions(10, 1, 70);
    let name = executions[0].name.clone();
    world.borrow_mut().slack.insert(name, UNIX_EPOCH);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    for ended in ended {
        let (found, at) = ended.unwrap();
        assert_eq!(found.created_by, None);
        assert!(at < Duration::from_mins(8), "{at:?}");
    }
    let world = world.borrow();
    assert_eq!(world.taken[CREATE], 1);
    assert!(world.taken[LIST] <= 80, "{} pages", world.taken[LIST]);
    assert_eq!(world.claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_creator_was_not_told_is_its_own_although_another_finds_it_first() {
    let (world, [creator, other]) = two_executions();
    let id = creator.id.clone();
    world.borrow_mut().lost_answers.insert(id.clone());
    let lost = ensure(&creator, &id).await.unwrap_err();
    assert_eq!(lost.name().recovery(), Recovery::Transient);
    // Meanwhile another execution's scan writes the channel into the table.
    other.find_by_scan(other.now()).await.unwrap();
    assert_eq!(other.run().await.unwrap().0.created_by, None);
    assert_eq!(creator.run().await.unwrap().0.created_by, Some(id));
    assert_eq!(world.borrow().claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_name_turns_out_to_be_taken_is_its_own_if_it_made_it() {
    let (world, [creator, other]) = two_executions();
    let id = creator.id.clone();
    world.borrow_mut().lost_answers.insert(id.clone());
    ensure(&creator, &id).await.unwrap_err();
    let (mine, theirs) = tokio::join!(creator.run(), other.run());
    assert_eq!(mine.unwrap().0.created_by, Some(id.clone()));
    let made_by = theirs.unwrap().0.created_by;
    assert!(made_by.is_none_or(|made_by| made_by == id));
    assert_eq!(world.borrow().claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_is_stopped_while_it_waits_to_create_leaves_the_name_to_others() {
    let (world, [stopped, other]) = two_executions();
    // The quota is used up for ten minutes.
    let used_up = Gcra::default().after(&quota(CREATE), 210, stopped.millis());
    world.borrow_mut().quotas.insert(CREATE, used_up);
    ensure(&stopped, &stopped.id).await.unwrap_err();
    let id = other.id.clone();
    let (found, at) = other.run().await.unwrap();
    assert_eq!(found.created_by, Some(id));
    assert!(at < Duration::from_mins(12), "{at:?}");
}

//! An execution that runs the real protocol in the model.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apgl_contract::{Recovery, StepError, Visibility};
use apgl_directory::Found;
use apgl_stores::{Channel, Claims, CreationClaim};
use ensure_channel::protocol::{Workspace, ensure};
use tokio::time::{Instant, sleep};

use crate::world::{CREATE, LIST, Scan, Shared, World, quota};

/// How often a step may wait without a reservation, as in production.
const WAITS: u32 = 100;
const TABLE_CALL: Duration = Duration::from_millis(10);
const SLACK_CALL: Duration = Duration::from_millis(300);
const PAGE: Duration = Duration::from_secs(1);
/// How long one invocation can scan.
const INVOCATION: Duration = Duration::from_secs(20);
const SCAN_LEASE: Duration = Duration::from_secs(28);
const OWNERS_HEAD_START: Duration = Duration::from_secs(10);

/// One execution's view of the world.
pub struct Execution {
    pub world: Shared,
    pub began: Instant,
    pub id: String,
    pub name: String,
}

impl Execution {
    pub fn millis(&self) -> u64 {
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
                externally_shared: false,
                ours: None,
                confirmed_at: self.now(),
            },
            created_by,
        }
    }

    fn known_in(&self, world: &World) -> Option<Found> {
        let created_by = world.table.get(&self.name)?;
        Some(self.found(created_by.clone()))
    }

    /// Runs the step until it succeeds, with the waits that it asks for. Returns the channel and the time it took.
    pub async fn run(self) -> Result<(Found, Duration), StepError> {
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
                let (shortest, longest) = (Duration::from_secs(2), Duration::from_mins(5));
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

    fn asks_again(&self, refused_at: SystemTime) -> bool {
        self.now() > refused_at + Duration::from_mins(1)
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
                let seen = world.slack.keys();
                let seen: Vec<String> = seen
                    .filter(|name| !world.hidden.contains(*name))
                    .cloned()
                    .collect();
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

//! Explores a model of the card's protocol.
//!
//! An item gets new versions, each with an execution that brings the card up to date. The protocol's own code runs in a
//! world where every response can be bad, late or lost, where the function can crash or stall at every await, and where
//! people delete the card, and rename or delete its channel and create another one. The item may move to another channel.
//! The model tries every combination of a given number of faults, and checks after each run:
//!
//! * Each card was posted once, no channel has two, and no card's content ever went back to an older version.
//! * An execution that ended says a version that is not older than its own, and Slack shows it or a newer one in the
//!   channel that the execution has found. Only if the item has moved, it does nothing.
//! * In the end the last card shows the item's last version and was pinned, and every execution has ended.
#![allow(clippy::unwrap_used)]

#[path = "../model/choices.rs"]
mod choices;
mod world;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use apgl_contract::{Recovery, StepError};
use apgl_delivery::{
    NotDelivered,
    card::{CardAttempt, Shown, show},
};
use apgl_slack::SlackError;
use apgl_stores::{Cards, SETTLE_TIME};

use crate::{
    choices::{Choices, Explored, by_chance, every_way},
    world::{Bounds, Broken, View, World},
};

/// How long Lambda lets an invocation run.
const TIMEOUT: Duration = Duration::from_mins(1);
const STALL: Duration = Duration::from_secs(25);
/// How long a workflow waits before it retries a step after a crash or an outage.
const BACKOFF: Duration = Duration::from_secs(2);
/// As often as a workflow lets a step wait.
const MAX_ATTEMPTS: usize = 100;

type Run = Pin<Box<dyn Future<Output = Result<Option<Shown<u64>>, NotDelivered>>>>;

/// The execution of one version.
struct Execution {
    version: u64,
    attempts: usize,
    /// The channel that it has found.
    channel: Option<usize>,
    /// The running invocation and its deadline.
    current: Option<(Run, SystemTime)>,
    resumes_at: SystemTime,
    ended: bool,
}

impl Execution {
    fn of(version: u64, now: SystemTime) -> Self {
        Self {
            version,
            attempts: 0,
            channel: None,
            current: None,
            resumes_at: now,
            ended: false,
        }
    }

    fn is_ready(&self, now: SystemTime) -> bool {
        !self.ended && (self.current.is_some() || self.resumes_at <= now)
    }

    fn start(&mut self, world: &Rc<RefCell<World>>) -> Result<(), String> {
        if self.attempts == MAX_ATTEMPTS {
            return Err("an execution does not end".to_owned());
        }
        self.attempts += 1;
        let name = format!("v{}/{}", self.version, self.attempts);
        let deadline = world.borrow().now + TIMEOUT;
        let attempt = CardAttempt {
            item_id: "item".to_owned(),
            attempt_id: name.clone(),
            deadline,
        };
        let channel = *self.channel.get_or_insert_with(|| {
            let world = world.borrow();
            world.channel_named(world.name_of(self.version))
        });
        let start = format!("{name}: starts in channel C{channel}");
        world.borrow_mut().tell(start);
        let view = View::new(world, name, channel);
        let run = async move {
            let shown = show(&Cards::new(view.clone()), &view, &attempt).await?;
            if let Some(shown) = &shown {
                view.pin(shown).await?;
            }
            Ok(shown)
        };
        self.current = Some((Box::pin(run), deadline));
        Ok(())
    }

    fn crash(&mut self, world: &Rc<RefCell<World>>) {
        // The borrow ends before the requests of the invocation are dropped.
        world
            .borrow_mut()
            .tell(format!("v{}: crashes", self.version));
        self.current = None;
        self.resumes_at = world.borrow().now + BACKOFF;
    }

    /// Runs to the next await.
    fn step(&mut self, world: &Rc<RefCell<World>>) -> Result<(), String> {
        let Some((run, _)) = &mut self.current else {
            return self.start(world);
        };
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = run.as_mut().poll(&mut context) else {
            return Ok(());
        };
        self.current = None;
        match result {
            Ok(Some(shown)) => {
                self.ended = true;
                let channel = self.channel.unwrap();
                world.borrow_mut().judge_end(self.version, channel, &shown)
            }
            Ok(None) => {
                self.ended = true;
                world.borrow_mut().judge_end_elsewhere(self.version)
            }
            Err(error) if needs_another_channel(&error) => {
                world
                    .borrow_mut()
                    .tell(format!("v{}: looks the channel up again", self.version));
                self.channel = None;
                Ok(())
            }
            Err(error) => {
                let error = StepError::from(error);
                world
                    .borrow_mut()
                    .tell(format!("v{}: {error}", self.version));
                let pause = match error.name().recovery() {
                    Recovery::Wait => error.retry_after().unwrap_or(BACKOFF),
                    Recovery::Transient => BACKOFF,
                    other => return Err(format!("{error} needs {other:?}")),
                };
                self.resumes_at = world.borrow().now + pause;
                Ok(())
            }
        }
    }
}

/// Whether the workflow looks the channel up again, as it does after `Channel.Stale`.
fn needs_another_channel(error: &NotDelivered) -> bool {
    match error {
        NotDelivered::NotConfirmed(StepError::ChannelNotFound { .. }) => true,
        NotDelivered::Slack(SlackError::Rejected { code, .. }) => code == "channel_not_found",
        _ => false,
    }
}

/// Lets time pass until `until`. Lambda ends each invocation at its deadline.
fn let_time_pass(world: &Rc<RefCell<World>>, all: &mut [Execution], until: SystemTime) {
    let deadlines = all.iter().filter_map(|one| Some(one.current.as_ref()?.1));
    let mut deadlines: Vec<SystemTime> = deadlines.filter(|time| *time <= until).collect();
    deadlines.sort();
    for deadline in deadlines {
        world.borrow_mut().wait_until(deadline);
        for one in all.iter_mut() {
            if one
                .current
                .as_ref()
                .is_some_and(|(_, end)| *end <= deadline)
            {
                one.crash(world);
            }
        }
    }
    world.borrow_mut().wait_until(until);
}

/// Runs an item through `versions` versions.
fn run(choices: &mut Choices, bounds: Bounds, versions: u64) -> Result<(), String> {
    let world = Rc::new(RefCell::new(World::new(choices.clone(), bounds)));
    let result = run_in(&world, versions);
    let world = Rc::into_inner(world).unwrap().into_inner();
    let story = world.story.join("\n");
    *choices = world.into_choices();
    result.map_err(|problem| format!("{problem}\n{story}"))
}

fn run_in(world: &Rc<RefCell<World>>, versions: u64) -> Result<(), String> {
    let mut all = vec![Execution::of(1, world.borrow().now)];
    let mut turn = 0;
    loop {
        let (now, moves) = {
            let mut world = world.borrow_mut();
            (world.now, world.version < versions && world.moves())
        };
        if moves {
            all.push(Execution::of(world.borrow().version, now));
        }
        let ready: Vec<usize> = (0..all.len())
            .filter(|one| all[*one].is_ready(now))
            .collect();
        let Some(first) = ready.first() else {
            let resume = all
                .iter()
                .filter(|one| !one.ended)
                .map(|one| one.resumes_at);
            if let Some(until) = resume.min() {
                let_time_pass(world, &mut all, until);
                continue;
            }
            if world.borrow().version < versions {
                world.borrow_mut().next_version();
                all.push(Execution::of(world.borrow().version, now));
                continue;
            }
            break;
        };
        if !ready.contains(&turn) || ready.len() > 1 && world.borrow_mut().switches() {
            turn = *ready.iter().find(|one| **one > turn).unwrap_or(first);
        }
        let fault = if all[turn].current.is_some() {
            world.borrow_mut().let_people_replace_the_channel();
            world.borrow_mut().fault(2)
        } else {
            0
        };
        match fault {
            1 => all[turn].crash(world),
            2 => {
                world.borrow_mut().tell("everything stands still");
                let_time_pass(world, &mut all, now + STALL);
            }
            _ => all[turn].step(world)?,
        }
    }
    drop(all);
    world.borrow_mut().let_requests_land();
    world.borrow().judge()
}

fn explored(bounds: Bounds, versions: u64) -> Explored {
    every_way(|choices| run(choices, bounds, versions))
}

const BOUNDS: Bounds = Bounds {
    faults: 1,
    switches: 2,
    changes: 0,
    own_channel: false,
    lateness: SETTLE_TIME,
    broken: Broken::Nothing,
};

#[test]
fn a_card_shows_the_last_version_after_any_two_faults() {
    let bounds = Bounds {
        faults: 2,
        switches: 0,
        own_channel: true,
        ..BOUNDS
    };
    println!("{} runs", explored(bounds, 2).unwrap());
}

#[test]
fn a_card_is_in_the_channel_that_its_item_has_after_any_fault() {
    let bounds = Bounds {
        switches: 0,
        changes: 1,
        ..BOUNDS
    };
    println!("{} runs", explored(bounds, 2).unwrap());
}

#[test]
fn two_updaters_in_two_channels_leave_one_card_in_each() {
    let bounds = Bounds {
        faults: 0,
        changes: 1,
        ..BOUNDS
    };
    println!("{} runs", explored(bounds, 2).unwrap());
}

#[test]
fn a_pin_changes_nothing_else() {
    let bounds = Bounds {
        own_channel: true,
        ..BOUNDS
    };
    println!("{} runs", explored(bounds, 2).unwrap());
}

#[test]
fn two_updaters_never_bring_an_older_version_back() {
    println!("{} runs", explored(BOUNDS, 3).unwrap());
}

#[test]
fn many_versions_and_many_faults_end_with_the_last_version() {
    let bounds = Bounds {
        faults: 8,
        switches: 12,
        changes: 3,
        own_channel: true,
        ..BOUNDS
    };
    let runs = by_chance(1, 20_000, |choices| run(choices, bounds, 4));
    println!("{} runs", runs.unwrap());
}

#[test]
fn the_model_notices_if_nobody_claims_the_card() {
    let bounds = Bounds {
        faults: 0,
        switches: 6,
        broken: Broken::Claim,
        ..BOUNDS
    };
    explored(bounds, 2).unwrap_err();
}

#[test]
fn the_model_notices_if_an_update_arrives_after_the_settle_time() {
    let bounds = Bounds {
        lateness: SETTLE_TIME * 3,
        ..BOUNDS
    };
    explored(bounds, 3).unwrap_err();
}

#[test]
fn the_model_notices_if_an_uncertain_card_is_not_updated_again() {
    let bounds = Bounds {
        broken: Broken::Doubt,
        ..BOUNDS
    };
    explored(bounds, 2).unwrap_err();
}

#[test]
fn the_model_notices_if_the_item_is_read_before_the_claim() {
    let bounds = Bounds {
        faults: 0,
        broken: Broken::Read,
        ..BOUNDS
    };
    explored(bounds, 2).unwrap_err();
}

#[test]
fn the_model_notices_if_a_pin_ends_the_claim_of_another_attempt() {
    let bounds = Bounds {
        faults: 0,
        switches: 12,
        own_channel: true,
        broken: Broken::Pin,
        ..BOUNDS
    };
    let runs = by_chance(1, 20_000, |choices| run(choices, bounds, 4));
    println!("{}", runs.unwrap_err());
}

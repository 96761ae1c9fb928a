//! Explores a model of the delivery protocol.
//!
//! The protocol's own code runs in a world where every response can be bad, late or lost, where the function can
//! crash or stall at every await, and where a second copy of it can run at the same time. The model tries every
//! combination of a given number of faults, and checks after each run:
//!
//! * Slack has the message at most once.
//! * If the workflow succeeded, Slack has the message exactly once.
#![allow(clippy::unwrap_used)]

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

use apgl_contract::{Recovery, StepError, outcome::MessageOutcome};
use apgl_stores::{Deliveries, Delivery, Place, SETTLE_TIME};
use post_message::protocol::{NotDelivered, deliver};

use crate::{
    choices::{Choices, Explored, by_chance, every_way},
    world::{Bounds, Broken, View, World},
};

/// How long Lambda lets an invocation run.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a stall lasts. After two stalls a copy has too little time left to post.
const STALL: Duration = Duration::from_secs(25);
/// How long an operator takes to fix a problem and redrive the execution.
const FIXED_AFTER: Duration = Duration::from_hours(1);
/// How long a workflow waits before it retries a step after a crash or an outage.
const BACKOFF: Duration = Duration::from_secs(2);
/// More attempts than a workflow needs for any number of faults in these tests.
const MAX_ATTEMPTS: usize = 30;

type Run = Pin<Box<dyn Future<Output = Result<MessageOutcome, NotDelivered>>>>;

/// One running copy of the function.
struct Copy {
    name: String,
    run: Run,
    deadline: SystemTime,
}

impl Copy {
    fn start(world: &Rc<RefCell<World>>, name: String, channel: String) -> Self {
        let deadline = world.borrow().now + TIMEOUT;
        let view = View {
            world: world.clone(),
            copy: name.clone(),
            channel: channel.clone(),
        };
        world.borrow_mut().tell(format!("{name}: starts"));
        let delivery = Delivery {
            id: "delivery".to_owned(),
            attempt_id: name.clone(),
            place: Place::in_channel(channel),
            execution_started_at: None,
            expires_at: None,
            in_sequence: None,
            deadline,
        };
        let run = async move {
            let deliveries = Deliveries::new(view.clone());
            deliver(&deliveries, &view, &delivery).await
        };
        Self {
            name,
            run: Box::pin(run),
            deadline,
        }
    }

    /// Runs to the next await. Returns `Some` when the function has ended.
    fn step(&mut self) -> Option<Result<MessageOutcome, NotDelivered>> {
        let mut context = Context::from_waker(Waker::noop());
        match self.run.as_mut().poll(&mut context) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

/// How a workflow's execution ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Well,
    Failed,
}

/// One execution. The workflow runs the function until it succeeds or fails for good. Meanwhile Lambda can run a
/// second copy of one of the invocations.
struct Execution {
    world: Rc<RefCell<World>>,
    attempts: usize,
    current: Option<Copy>,
    /// If `current` is `None`, the time at which the workflow runs the step again.
    resumes_at: SystemTime,
    copy: Option<Copy>,
    copies_left: usize,
}

impl Execution {
    fn run(mut self) -> Result<End, String> {
        let end = loop {
            self.start_copy_or_run_it();
            if self.current.is_none() {
                self.start_next()?;
                continue;
            }
            let fault = self.world.borrow_mut().fault(2);
            match (fault, &mut self.current) {
                (1, _) => self.crash(),
                (2, _) => self.stall(),
                (_, Some(current)) => {
                    if let Some(result) = current.step()
                        && let Some(end) = self.ended(result)
                    {
                        break end;
                    }
                }
                (_, None) => {}
            }
        };
        // The second copy may still be running. Let it finish.
        self.current = None;
        while let Some(copy) = &mut self.copy {
            if copy.step().is_some() {
                self.copy = None;
            }
        }
        self.world.borrow_mut().let_requests_land();
        Ok(end)
    }

    /// Starts the second copy, or continues it, until the model switches back.
    fn start_copy_or_run_it(&mut self) {
        if self.attempts == 0 {
            return;
        }
        while (self.copy.is_some() || self.copies_left > 0) && self.world.borrow_mut().switches() {
            match &mut self.copy {
                None => {
                    self.copies_left -= 1;
                    let name = format!("{}'", self.attempts);
                    self.copy = Some(Copy::start(&self.world, name, self.channel()));
                }
                Some(copy) => {
                    let crashes = self.world.borrow_mut().fault(1) == 1;
                    if crashes || copy.step().is_some() {
                        self.copy = None;
                    }
                }
            }
        }
    }

    fn crash(&mut self) {
        if let Some(current) = self.current.take() {
            let line = format!("{}: crashes", current.name);
            self.world.borrow_mut().tell(line);
        }
        self.pause_for(BACKOFF);
    }

    /// Lets time pass while nothing runs.
    fn stall(&mut self) {
        let until = self.world.borrow().now + STALL;
        self.world.borrow_mut().tell("everything stands still");
        self.let_time_pass(until);
    }

    /// Moves the clock to `until`. Lambda ends each copy at its deadline.
    fn let_time_pass(&mut self, until: SystemTime) {
        let deadline = |copy: &Option<Copy>| copy.as_ref().map(|copy| copy.deadline);
        let mut deadlines = [deadline(&self.current), deadline(&self.copy)];
        deadlines.sort();
        for deadline in deadlines
            .into_iter()
            .flatten()
            .filter(|time| *time <= until)
        {
            self.world.borrow_mut().wait_until(deadline);
            if self
                .copy
                .as_ref()
                .is_some_and(|copy| copy.deadline <= deadline)
            {
                self.copy = None;
            }
            if self
                .current
                .as_ref()
                .is_some_and(|current| current.deadline <= deadline)
            {
                self.crash();
            }
        }
        self.world.borrow_mut().wait_until(until);
    }

    fn start_next(&mut self) -> Result<(), String> {
        if self.attempts == MAX_ATTEMPTS {
            return Err("the workflow does not end".to_owned());
        }
        self.let_time_pass(self.resumes_at);
        self.attempts += 1;
        let name = self.attempts.to_string();
        self.current = Some(Copy::start(&self.world, name, self.channel()));
        Ok(())
    }

    /// The channel that has the name now.
    fn channel(&self) -> String {
        let moves = self.world.borrow().moves();
        format!("C{}", if moves { self.attempts } else { 1 })
    }

    /// Handles the step's result as the workflow does.
    fn ended(&mut self, result: Result<MessageOutcome, NotDelivered>) -> Option<End> {
        let error = match result {
            Ok(_) => return Some(End::Well),
            Err(error) => StepError::from(error),
        };
        match error.name().recovery() {
            Recovery::Wait => self.pause_for(error.retry_after().unwrap_or(BACKOFF)),
            Recovery::Transient => self.pause_for(BACKOFF),
            // An operator fixes the problem and redrives the execution.
            Recovery::Redrive => self.pause_for(FIXED_AFTER),
            Recovery::Terminal | Recovery::LookUp => return Some(End::Failed),
        }
        None
    }

    fn pause_for(&mut self, time: Duration) {
        self.current = None;
        self.resumes_at = self.world.borrow().now + time;
    }
}

fn run_once(choices: &mut Choices, bounds: Bounds) -> Result<(), String> {
    let world = Rc::new(RefCell::new(World::new(choices.clone(), bounds)));
    let now = world.borrow().now;
    let execution = Execution {
        world: world.clone(),
        attempts: 0,
        current: None,
        resumes_at: now,
        copy: None,
        copies_left: usize::from(bounds.switches > 0),
    };
    let end = execution.run();
    let world = Rc::into_inner(world).unwrap().into_inner();
    let (posts, story) = (world.messages.len(), world.story.join("\n"));
    *choices = world.into_choices();
    match end? {
        _ if posts > 1 => Err(format!("posted {posts} times:\n{story}")),
        End::Well if posts == 0 => Err(format!("succeeded and posted nothing:\n{story}")),
        _ => Ok(()),
    }
}

/// Slack has processed every request before another attempt looks for the message.
const IN_TIME: Duration = SETTLE_TIME;

fn bounds(faults: usize, switches: usize) -> Bounds {
    Bounds {
        faults,
        switches,
        lateness: IN_TIME,
        broken: Broken::Nothing,
        moves: false,
    }
}

fn explore(bounds: Bounds) -> Explored {
    every_way(|choices| run_once(choices, bounds))
}

#[test]
fn one_copy_posts_once_despite_any_three_faults() {
    let runs = explore(bounds(3, 0)).unwrap();
    println!("{runs} ways");
    assert!(runs > 1_000);
}

#[test]
fn two_concurrent_copies_post_once_despite_any_fault() {
    let runs = explore(bounds(1, 4)).unwrap();
    println!("{runs} ways");
    assert!(runs > 1_000);
}

#[test]
fn two_concurrent_copies_post_once_despite_any_two_faults() {
    let runs = explore(bounds(2, 2)).unwrap();
    println!("{runs} ways");
    assert!(runs > 1_000);
}

#[test]
fn copies_post_once_despite_many_random_faults() {
    by_chance(1, 50_000, |choices| run_once(choices, bounds(8, 20))).unwrap();
}

#[test]
fn a_message_is_posted_in_one_channel_though_people_replace_the_channel_between_attempts() {
    let moves = true;
    let runs = explore(Bounds {
        moves,
        ..bounds(2, 0)
    });
    println!("{} ways", runs.unwrap());
    by_chance(2, 20_000, |choices| {
        let bounds = Bounds {
            moves,
            ..bounds(8, 20)
        };
        run_once(choices, bounds)
    })
    .unwrap();
}

fn posts_twice(bounds: Bounds) {
    let problem = explore(bounds).unwrap_err();
    println!("{problem}");
    assert!(problem.starts_with("posted 2 times"), "{problem}");
}

#[test]
fn without_the_claim_two_copies_post_twice() {
    let broken = Broken::Claim;
    posts_twice(Bounds {
        broken,
        ..bounds(0, 20)
    });
}

#[test]
fn without_the_search_a_lost_response_posts_twice() {
    let broken = Broken::Search;
    posts_twice(Bounds {
        broken,
        ..bounds(1, 0)
    });
}

#[test]
fn with_a_search_that_ends_too_early_a_lost_response_posts_twice() {
    let broken = Broken::Bound;
    posts_twice(Bounds {
        broken,
        ..bounds(2, 0)
    });
}

/// The window that remains. No protocol can close it as long as Slack has no idempotency key.
#[test]
fn a_request_that_slack_accepts_after_the_settle_time_is_posted_twice() {
    let lateness = SETTLE_TIME + Duration::from_secs(1);
    posts_twice(Bounds {
        lateness,
        ..bounds(1, 0)
    });
}

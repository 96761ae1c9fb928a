//! Explores a model of the delivery protocol.
//!
//! The protocol's own code runs in a world where every response can be bad, late or lost, where the function can
//! crash or stall at every await, and where a second copy of it can run at the same time. The model tries every
//! combination of a given number of faults, and checks after each run:
//!
//! * Slack has each message at most once.
//! * If a workflow says that its message is posted, Slack has it exactly once; if it says that it is not, Slack has it
//!   not.
//! * No message is in Slack after a later one of its sequence, and none was sent after it had expired.
//! * Every workflow ends.
#![allow(clippy::unwrap_used)]

mod choices;
mod world;

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    slice,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use apgl_contract::{
    Recovery, StepError,
    outcome::{MessageOutcome, NotPosted},
};
use apgl_delivery::protocol::{NotDelivered, deliver};
use apgl_stores::{Deliveries, Delivery, InSequence, Place, SETTLE_TIME};

use crate::{
    choices::{Choices, Explored, by_chance, every_way},
    world::{Bounds, Broken, View, World, start},
};

/// How long Lambda lets an invocation run.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a stall lasts. After two stalls a copy has too little time left to post.
const STALL: Duration = Duration::from_secs(25);
/// How long an operator takes to fix a problem and redrive the execution.
const FIXED_AFTER: Duration = Duration::from_hours(1);
/// How long a workflow waits before it retries a step after a crash or an outage.
const BACKOFF: Duration = Duration::from_secs(2);
/// More attempts than a workflow needs for any number of faults in these tests. It lets a step wait 100 times.
const MAX_ATTEMPTS: usize = 60;

type Run = Pin<Box<dyn Future<Output = Result<MessageOutcome, NotDelivered>>>>;

/// One running copy of the function.
struct Copy {
    name: String,
    run: Run,
    deadline: SystemTime,
}

/// What one execution is to post.
#[derive(Debug, Clone)]
struct Message {
    delivery: String,
    /// Its place in the sequence of all messages.
    number: Option<u64>,
    /// How long after the start it expires.
    expires_after: Option<Duration>,
}

impl Copy {
    fn start(world: &Rc<RefCell<World>>, message: &Message, name: String, channel: String) -> Self {
        let deadline = world.borrow().now + TIMEOUT;
        let expires_at = message.expires_after.map(|after| start() + after);
        let view = View {
            world: world.clone(),
            copy: name.clone(),
            delivery: message.delivery.clone(),
            channel: channel.clone(),
            expires_at,
        };
        world.borrow_mut().tell(format!("{name}: starts"));
        let delivery = Delivery {
            id: message.delivery.clone(),
            attempt_id: name.clone(),
            place: Place::in_channel(channel),
            execution_started_at: None,
            expires_at,
            in_sequence: message.number.map(|number| InSequence {
                sequence_id: "sequence".to_owned(),
                number,
            }),
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
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Well(MessageOutcome),
    Failed,
}

/// One execution. The workflow runs the function until it succeeds or fails for good. Meanwhile Lambda can run a
/// second copy of one of the invocations.
struct Execution {
    world: Rc<RefCell<World>>,
    message: Message,
    attempts: usize,
    current: Option<Copy>,
    /// If `current` is `None`, the time at which the workflow runs the step again.
    resumes_at: SystemTime,
    copy: Option<Copy>,
    copies_left: usize,
    end: Option<End>,
}

/// The executions that run at the same time.
struct Executions {
    world: Rc<RefCell<World>>,
    all: Vec<Execution>,
    /// Which of them runs.
    turn: usize,
}

impl Executions {
    fn run(mut self) -> Result<Vec<End>, String> {
        while let Some(turn) = self.next() {
            let fault = self.all[turn].prepare()?;
            match fault {
                1 => self.all[turn].crash(),
                2 => {
                    let until = self.world.borrow().now + STALL;
                    self.world.borrow_mut().tell("everything stands still");
                    self.let_time_pass(until);
                }
                _ => self.all[turn].step(),
            }
        }
        for execution in &mut self.all {
            execution.finish_copy();
        }
        self.world.borrow_mut().let_requests_land();
        Ok(self.all.into_iter().filter_map(|one| one.end).collect())
    }

    /// The execution that runs next; `None` when all have ended. If all of them wait, time passes.
    fn next(&mut self) -> Option<usize> {
        loop {
            let now = self.world.borrow().now;
            let ready: Vec<usize> = (0..self.all.len())
                .filter(|one| self.all[*one].is_ready(now))
                .collect();
            if ready.is_empty() {
                let waiting = self.all.iter().filter(|one| one.end.is_none());
                let until = waiting.map(|one| one.resumes_at).min()?;
                self.let_time_pass(until);
                continue;
            }
            let goes_on = ready.contains(&self.turn);
            if !goes_on || ready.len() > 1 && self.world.borrow_mut().switches() {
                let later = ready.iter().find(|one| **one > self.turn);
                self.turn = *later.unwrap_or(&ready[0]);
            }
            return Some(self.turn);
        }
    }

    /// Moves the clock to `until`. Lambda ends each copy at its deadline.
    fn let_time_pass(&mut self, until: SystemTime) {
        let deadlines = self.all.iter().flat_map(Execution::deadlines);
        let mut deadlines: Vec<SystemTime> = deadlines.filter(|time| *time <= until).collect();
        deadlines.sort();
        for deadline in deadlines {
            self.world.borrow_mut().wait_until(deadline);
            for execution in &mut self.all {
                execution.end_at(deadline);
            }
        }
        self.world.borrow_mut().wait_until(until);
    }
}

impl Execution {
    fn new(world: &Rc<RefCell<World>>, message: Message, copies: usize) -> Self {
        Self {
            world: world.clone(),
            message,
            attempts: 0,
            current: None,
            resumes_at: start(),
            copy: None,
            copies_left: copies,
            end: None,
        }
    }

    fn is_ready(&self, now: SystemTime) -> bool {
        self.end.is_none() && (self.current.is_some() || self.resumes_at <= now)
    }

    fn deadlines(&self) -> impl Iterator<Item = SystemTime> {
        let copies = [&self.current, &self.copy];
        copies.into_iter().flatten().map(|copy| copy.deadline)
    }

    /// Lambda ends the copies whose deadline this is.
    fn end_at(&mut self, deadline: SystemTime) {
        let is_over =
            |copy: &Option<Copy>| copy.as_ref().is_some_and(|one| one.deadline <= deadline);
        if is_over(&self.copy) {
            self.copy = None;
        }
        if is_over(&self.current) {
            self.crash();
        }
    }

    /// Continues the second copy, starts the next attempt if none is running, and chooses what goes wrong with it.
    fn prepare(&mut self) -> Result<usize, String> {
        self.start_copy_or_run_it();
        if self.current.is_none() {
            self.start_next()?;
            return Ok(0);
        }
        Ok(self.world.borrow_mut().fault(2))
    }

    fn step(&mut self) {
        if let Some(current) = &mut self.current
            && let Some(result) = current.step()
        {
            self.ended(result);
        }
    }

    /// The second copy may still be running when the execution has ended.
    fn finish_copy(&mut self) {
        self.current = None;
        while let Some(copy) = &mut self.copy {
            if copy.step().is_some() {
                self.copy = None;
            }
        }
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
                    let name = format!("{}'", self.name());
                    self.copy = Some(self.start_copy(name));
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

    fn start_copy(&self, name: String) -> Copy {
        Copy::start(&self.world, &self.message, name, self.channel())
    }

    fn name(&self) -> String {
        format!("{}{}", self.message.delivery, self.attempts)
    }

    fn crash(&mut self) {
        if let Some(current) = self.current.take() {
            let line = format!("{}: crashes", current.name);
            self.world.borrow_mut().tell(line);
        }
        self.pause_for(BACKOFF);
    }

    fn start_next(&mut self) -> Result<(), String> {
        if self.attempts == MAX_ATTEMPTS {
            return Err("the workflow does not end".to_owned());
        }
        self.attempts += 1;
        self.current = Some(self.start_copy(self.name()));
        Ok(())
    }

    /// The channel that has the name now.
    fn channel(&self) -> String {
        let moves = self.world.borrow().moves();
        format!("C{}", if moves { self.attempts } else { 1 })
    }

    /// Handles the step's result as the workflow does.
    fn ended(&mut self, result: Result<MessageOutcome, NotDelivered>) {
        self.current = None;
        let error = match result {
            Ok(outcome) => {
                self.end = Some(End::Well(outcome));
                return;
            }
            Err(error) => StepError::from(error),
        };
        match error.name().recovery() {
            Recovery::Wait => self.pause_for(error.retry_after().unwrap_or(BACKOFF)),
            Recovery::Transient => self.pause_for(BACKOFF),
            // An operator fixes the problem and redrives the execution.
            Recovery::Redrive => self.pause_for(FIXED_AFTER),
            Recovery::Terminal | Recovery::LookUp => self.end = Some(End::Failed),
        }
    }

    fn pause_for(&mut self, time: Duration) {
        self.current = None;
        self.resumes_at = self.world.borrow().now + time;
    }
}

fn run_once(choices: &mut Choices, bounds: Bounds) -> Result<(), String> {
    run_all(choices, bounds, &[message("a")])
}

/// A message that never expires and is in no sequence.
fn message(delivery: &str) -> Message {
    Message {
        delivery: delivery.to_owned(),
        number: None,
        expires_after: None,
    }
}

/// Runs an execution for each of these messages, all at the same time.
fn run_all(choices: &mut Choices, bounds: Bounds, messages: &[Message]) -> Result<(), String> {
    let world = Rc::new(RefCell::new(World::new(choices.clone(), bounds)));
    let copies = usize::from(bounds.switches > 0 && (messages.len() == 1 || bounds.copies));
    let executions = messages.iter().cloned();
    let executions = executions.map(|message| Execution::new(&world, message, copies));
    let executions = Executions {
        world: world.clone(),
        all: executions.collect(),
        turn: 0,
    };
    let ends = executions.run();
    let world = Rc::into_inner(world).unwrap().into_inner();
    let story = world.story.join("\n");
    let problem = match ends {
        Ok(ends) => problem(&world, messages, &ends),
        Err(problem) => Some(problem),
    };
    *choices = world.into_choices();
    problem.map_or(Ok(()), |problem| Err(format!("{problem}:\n{story}")))
}

/// Whether there is the reason for which the message was not posted.
fn is_true(reason: NotPosted, world: &World, message: &Message, messages: &[Message]) -> bool {
    let is_higher = |posted: &str| {
        let other = messages.iter().find(|one| one.delivery == posted);
        other.is_some_and(|other| other.number > message.number)
    };
    match reason {
        NotPosted::Expired => {
            let expires_at = message.expires_after.map(|after| start() + after);
            expires_at.is_some_and(|expires_at| world.now > expires_at)
        }
        NotPosted::Superseded => world
            .messages
            .iter()
            .any(|posted| is_higher(&posted.delivery)),
        _ => false,
    }
}

/// The promise that was not kept, if there is one.
fn problem(world: &World, messages: &[Message], ends: &[End]) -> Option<String> {
    for (message, end) in messages.iter().zip(ends) {
        let is_it = |delivery: &String| *delivery == message.delivery;
        let posts = world.messages.iter();
        let posts = posts.filter(|posted| is_it(&posted.delivery)).count();
        match end {
            _ if posts > 1 => return Some(format!("posted {posts} times")),
            End::Well(outcome) if usize::from(outcome.posted().is_some()) != posts => {
                return Some(format!("ended with {outcome:?} and posted {posts} times"));
            }
            End::Well(MessageOutcome::NotPosted(reason))
                if !is_true(*reason, world, message, messages) =>
            {
                return Some(format!("ended with {reason:?} without a reason"));
            }
            _ => {}
        }
        let mut sent = world.sent.iter();
        let expires_at = message.expires_after.map(|after| start() + after);
        if sent.any(|(delivery, at)| is_it(delivery) && expires_at.is_some_and(|end| *at > end)) {
            return Some("sent after it had expired".to_owned());
        }
    }
    let number = |delivery: &str| messages.iter().find(|one| one.delivery == delivery)?.number;
    let posted = world.messages.iter();
    let numbers: Vec<u64> = posted
        .filter_map(|posted| number(&posted.delivery))
        .collect();
    (!numbers.is_sorted()).then(|| format!("posted out of sequence: {numbers:?}"))
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
        copies: false,
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

/// Two messages of a sequence, the later one second.
fn two_in_sequence() -> [Message; 2] {
    [("a", 1), ("b", 2)].map(|(delivery, number)| Message {
        number: Some(number),
        ..message(delivery)
    })
}

#[test]
fn two_messages_of_a_sequence_stay_in_order_despite_any_fault() {
    let runs = every_way(|choices| run_all(choices, bounds(1, 4), &two_in_sequence()));
    println!("{} ways", runs.unwrap());
}

#[test]
fn two_messages_of_a_sequence_stay_in_order_despite_any_two_faults() {
    let runs = every_way(|choices| run_all(choices, bounds(2, 2), &two_in_sequence()));
    println!("{} ways", runs.unwrap());
}

#[test]
fn messages_of_a_sequence_stay_in_order_despite_copies_and_many_random_faults() {
    let third = Message {
        number: Some(2),
        expires_after: Some(Duration::from_secs(40)),
        ..message("c")
    };
    let messages = [&two_in_sequence()[..], &[third]].concat();
    by_chance(3, 30_000, |choices| {
        let bounds = Bounds {
            copies: true,
            ..bounds(8, 20)
        };
        run_all(choices, bounds, &messages)
    })
    .unwrap();
}

#[test]
fn without_the_lock_two_messages_are_posted_out_of_sequence() {
    let broken = Broken::Lock;
    let bounds = Bounds {
        broken,
        ..bounds(0, 20)
    };
    let problem = every_way(|choices| run_all(choices, bounds, &two_in_sequence())).unwrap_err();
    println!("{problem}");
    assert!(problem.starts_with("posted out of sequence"), "{problem}");
}

/// A message that expires at this many seconds.
fn expiring(seconds: u64) -> Message {
    Message {
        expires_after: Some(Duration::from_secs(seconds)),
        ..message("a")
    }
}

/// Before the first attempt, between it and the end of a doubt, and after two attempts.
#[test]
fn nothing_is_sent_after_it_has_expired_despite_any_two_faults() {
    for seconds in [0, 1, 20, 60] {
        let message = expiring(seconds);
        let runs = every_way(|choices| run_all(choices, bounds(2, 0), slice::from_ref(&message)));
        println!("{seconds} s: {} ways", runs.unwrap());
        by_chance(4, 5_000, |choices| {
            run_all(choices, bounds(8, 20), slice::from_ref(&message))
        })
        .unwrap();
    }
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

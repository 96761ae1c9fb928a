//! Explores a model of the reminders' protocol.
//!
//! Items wait for a person, who is told of what is due in one message for each part of a day. The protocol's own code
//! runs in a world where every response can be bad, late or lost, where the function can crash or stall at every await,
//! where a second copy of it can run at the same time, and where the items move and the day ends meanwhile. The model
//! tries every combination of a given number of these events, and checks after each run:
//!
//! * The person was told of each stage of an item at most once.
//! * No message was sent after its day, or after an item in it had moved, as far as the check right before could tell.
//! * An execution that ended within its day has told of everything that was due when it started.
//! * Once there is an execution without faults, everything that is due was told, and what was told is recorded.
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

use apgl_contract::{
    Recovery, StepError,
    reminders::{Lead, Part, Stage},
};
use apgl_delivery::{
    NotDelivered,
    reminder::{Reminded, remind},
};
use apgl_stores::{Deliveries, SETTLE_TIME};

use crate::{
    choices::{Choices, Explored, by_chance, every_way},
    world::{Bounds, Broken, Memory, Setting, Told, View, World, day, person},
};

/// How long Lambda lets an invocation run.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a stall lasts. After two stalls an attempt has too little time left to post.
const STALL: Duration = Duration::from_secs(25);
/// How long an operator takes to fix a problem and redrive the execution.
const FIXED_AFTER: Duration = Duration::from_hours(1);
/// How long a workflow waits before it retries a step after a crash or an outage.
const BACKOFF: Duration = Duration::from_secs(2);
/// As often as a workflow lets a step wait.
const MAX_ATTEMPTS: usize = 100;
/// On this day there is an execution without faults. All others have ended before.
const LAST_DAY: u64 = 2;

type Run = Pin<Box<dyn Future<Output = Result<Reminded, NotDelivered>>>>;

/// One running copy of the function.
struct Attempt {
    name: String,
    run: Run,
    deadline: SystemTime,
}

impl Attempt {
    /// Runs to the next await. Returns `Some` when the function has ended.
    fn step(&mut self) -> Option<Result<Reminded, NotDelivered>> {
        let mut context = Context::from_waker(Waker::noop());
        match self.run.as_mut().poll(&mut context) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

/// Which of a person's messages an execution sends, and how long after the start of the day it is started.
#[derive(Debug, Clone, Copy)]
struct Planned {
    day: u64,
    part: Part,
    after: Duration,
}

/// One execution. The workflow runs the function until it succeeds or fails for good. Meanwhile Lambda can run a second
/// copy of one of the invocations.
struct Execution {
    planned: Planned,
    attempts: usize,
    current: Option<Attempt>,
    copy: Option<Attempt>,
    copies_left: usize,
    /// If `current` is `None`, the time at which the workflow runs the step again.
    resumes_at: SystemTime,
    /// What was due when the execution started.
    pending: Vec<Told>,
    has_ended: bool,
}

impl Execution {
    fn new(planned: Planned, copies: usize, world: &World) -> Self {
        Self {
            planned,
            attempts: 0,
            current: None,
            copy: None,
            copies_left: copies,
            resumes_at: world.beginning_of(planned.day) + planned.after,
            pending: Vec::new(),
            has_ended: false,
        }
    }

    fn is_ready(&self, who: Who, now: SystemTime) -> bool {
        match who {
            Who::Copy => self.copy.is_some(),
            Who::Current => !self.has_ended && (self.current.is_some() || self.resumes_at <= now),
        }
    }

    fn attempt(&mut self, who: Who) -> &mut Option<Attempt> {
        match who {
            Who::Current => &mut self.current,
            Who::Copy => &mut self.copy,
        }
    }

    fn start(&mut self, world: &Rc<RefCell<World>>, who: Who) -> Result<(), String> {
        let Planned {
            day: number, part, ..
        } = self.planned;
        if who == Who::Current {
            if self.attempts == MAX_ATTEMPTS {
                return Err("an execution does not end".to_owned());
            }
            if self.attempts == 0 {
                self.pending = world.borrow().pending(part);
            }
            self.attempts += 1;
        }
        let mark = if who == Who::Copy { "'" } else { "" };
        let name = format!("{number}{part:?}/{}{mark}", self.attempts);
        world.borrow_mut().tell(|| format!("{name}: starts"));
        let deadline = world.borrow().now + TIMEOUT;
        let view = View {
            world: world.clone(),
            name: name.clone(),
            day: day(number),
            deadline,
            memory: Rc::new(Memory::default()),
        };
        let run = async move {
            let deliveries = Deliveries::new(view.clone());
            let message = (view.day, part);
            remind(&view, &deliveries, &view, &person(), message).await
        };
        *self.attempt(who) = Some(Attempt {
            name,
            run: Box::pin(run),
            deadline,
        });
        Ok(())
    }

    fn crash(&mut self, world: &Rc<RefCell<World>>, who: Who) {
        let crashed = self.attempt(who).take();
        if let Some(Attempt { name, .. }) = &crashed {
            world.borrow_mut().tell(|| format!("{name}: crashes"));
        }
        // Its requests are on their own from now on.
        drop(crashed);
        if who == Who::Current {
            self.resumes_at = world.borrow().now + BACKOFF;
        }
    }

    /// Runs to the next await.
    fn step(&mut self, world: &Rc<RefCell<World>>, who: Who) -> Result<(), String> {
        let Some(attempt) = self.attempt(who) else {
            return self.start(world, who);
        };
        let Some(result) = attempt.step() else {
            return Ok(());
        };
        let name = attempt.name.clone();
        *self.attempt(who) = None;
        let mut world = world.borrow_mut();
        world.tell(|| format!("{name}: ends: {}", shown(&result)));
        if who == Who::Current {
            self.end(&mut world, result)?;
        }
        Ok(())
    }

    /// Handles the step's result as the workflow does.
    fn end(
        &mut self,
        world: &mut World,
        result: Result<Reminded, NotDelivered>,
    ) -> Result<(), String> {
        let error = match result {
            Ok(reminded) => {
                self.has_ended = true;
                return world.judge_end(day(self.planned.day), &self.pending, &reminded);
            }
            Err(error) => StepError::from(error),
        };
        let pause = match error.name().recovery() {
            Recovery::Wait => error.retry_after().unwrap_or(BACKOFF),
            Recovery::Transient => BACKOFF,
            Recovery::Redrive if !is_about_the_message(&error) => FIXED_AFTER,
            Recovery::Redrive => {
                self.has_ended = true;
                return Ok(());
            }
            other => return Err(format!("{error} needs {other:?}")),
        };
        self.resumes_at = world.now + pause;
        Ok(())
    }
}

fn shown(result: &Result<Reminded, NotDelivered>) -> String {
    match result {
        Ok(Reminded::Of(items, _)) => format!("told of {} items", items.len()),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

/// Whether another attempt would fail as well.
fn is_about_the_message(error: &StepError) -> bool {
    matches!(error, StepError::SlackRejected { code, .. } if code == "invalid_blocks")
}

/// Which of an execution's attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Current,
    Copy,
}

/// The executions that run at the same time.
struct Executions<'a> {
    world: &'a Rc<RefCell<World>>,
    all: Vec<Execution>,
    /// Which attempt runs.
    turn: (usize, Who),
}

impl Executions<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some((one, who)) = self.next()? {
            self.world.borrow_mut().let_an_item_move();
            let fault = match self.all[one].attempt(who) {
                Some(_) => self.world.borrow_mut().fault(2),
                None => 0,
            };
            match fault {
                1 => self.all[one].crash(self.world, who),
                2 => {
                    let until = self.world.borrow().now + STALL;
                    self.world
                        .borrow_mut()
                        .tell(|| "everything stands still".to_owned());
                    self.let_time_pass(until);
                }
                _ => self.all[one].step(self.world, who)?,
            }
        }
        Ok(())
    }

    /// The attempt that runs next; `None` when all executions have ended. If all of them wait, time passes.
    fn next(&mut self) -> Result<Option<(usize, Who)>, String> {
        loop {
            let now = self.world.borrow().now;
            let ready = self.all.iter().enumerate().flat_map(|(number, one)| {
                let attempts = [Who::Current, Who::Copy].into_iter();
                let ready = attempts.filter(move |who| one.is_ready(*who, now));
                ready.map(move |who| (number, who))
            });
            let ready: Vec<(usize, Who)> = ready.collect();
            let Some(first) = ready.first() else {
                let waiting = self.all.iter().filter(|one| !one.has_ended);
                let Some(until) = waiting.map(|one| one.resumes_at).min() else {
                    return Ok(None);
                };
                self.let_time_pass(until);
                continue;
            };
            if !ready.contains(&self.turn) {
                self.turn = *first;
            }
            let others = ready.iter().filter(|other| **other != self.turn);
            let others: Vec<(usize, Who)> = others.copied().collect();
            let running = &self.all[self.turn.0];
            let can_copy = running.copies_left > 0 && running.current.is_some();
            let others_and_copy = others.len() + usize::from(can_copy);
            let chosen = self.world.borrow_mut().switch(others_and_copy);
            if let Some(chosen) = chosen.checked_sub(1) {
                self.turn = match others.get(chosen) {
                    Some(other) => *other,
                    None => self.start_copy()?,
                };
            }
            return Ok(Some(self.turn));
        }
    }

    fn start_copy(&mut self) -> Result<(usize, Who), String> {
        let running = &mut self.all[self.turn.0];
        running.copies_left -= 1;
        running.start(self.world, Who::Copy)?;
        Ok((self.turn.0, Who::Copy))
    }

    /// Moves the clock to `until`. Lambda ends each attempt at its deadline.
    fn let_time_pass(&mut self, until: SystemTime) {
        let deadlines = self.all.iter().flat_map(|one| {
            let attempts = [&one.current, &one.copy];
            attempts.into_iter().flatten().map(|one| one.deadline)
        });
        let mut deadlines: Vec<SystemTime> = deadlines.filter(|time| *time <= until).collect();
        deadlines.sort();
        for deadline in deadlines {
            self.world.borrow_mut().wait_until(deadline);
            for execution in &mut self.all {
                for who in [Who::Current, Who::Copy] {
                    let attempt = execution.attempt(who);
                    if attempt.as_ref().is_some_and(|one| one.deadline <= deadline) {
                        execution.crash(self.world, who);
                    }
                }
            }
        }
        self.world.borrow_mut().wait_until(until);
    }
}

/// What a run explores.
#[derive(Debug, Clone)]
struct Scenario {
    setting: Setting,
    executions: Vec<Planned>,
    /// How many copies there are of an execution's invocations.
    copies: usize,
    bounds: Bounds,
}

impl Scenario {
    fn every_way(&self) -> Explored {
        every_way(|choices| self.run(choices))
    }

    fn by_chance(&self, seed: u64, runs: u64) -> Explored {
        by_chance(seed, runs, |choices| self.run(choices))
    }

    fn run(&self, choices: &mut Choices) -> Result<(), String> {
        let before = choices.clone();
        let (world, result) = self.run_in(choices.clone(), false);
        *choices = world.into_choices();
        result.map_err(|problem| {
            let (world, _) = self.run_in(before, true);
            format!("{problem}\n{}", world.story.unwrap_or_default().join("\n"))
        })
    }

    /// If it `is_told`, the world keeps its story.
    fn run_in(&self, choices: Choices, is_told: bool) -> (World, Result<(), String>) {
        let world = World::new(choices, &self.setting, self.bounds, is_told);
        let world = Rc::new(RefCell::new(world));
        let result = self.run_executions(&world);
        (Rc::into_inner(world).unwrap().into_inner(), result)
    }

    fn run_executions(&self, world: &Rc<RefCell<World>>) -> Result<(), String> {
        let execution = |planned: &Planned| Execution::new(*planned, self.copies, &world.borrow());
        let mut executions = Executions {
            world,
            all: self.executions.iter().map(execution).collect(),
            turn: (0, Who::Current),
        };
        executions.run()?;
        let last = Planned {
            day: LAST_DAY,
            part: Part::First,
            after: Duration::ZERO,
        };
        world.borrow_mut().bounds = Bounds {
            faults: 0,
            switches: 0,
            moves: 0,
            ..self.bounds
        };
        let last = Execution::new(last, 0, &world.borrow());
        executions.all = vec![last];
        executions.turn = (0, Who::Current);
        executions.run()?;
        world.borrow_mut().let_requests_land();
        world.borrow().judge()
    }
}

const BOUNDS: Bounds = Bounds {
    faults: 0,
    switches: 0,
    moves: 0,
    is_spread: false,
    lateness: SETTLE_TIME,
    broken: Broken::Nothing,
};

const LATER: Duration = Duration::from_secs(20);

/// Of an item that is due tomorrow.
const SOON: Stage = Stage::Before(Lead::Days(1));

/// A day's first message, of two items.
fn one_message() -> Scenario {
    let now = Duration::ZERO;
    Scenario {
        setting: Setting {
            items: vec![vec![(now, SOON)], vec![(now, Stage::Due)]],
            day_ends_after: Duration::from_hours(8),
            limited_for: Duration::ZERO,
        },
        executions: vec![execution(0, Part::First)],
        copies: 0,
        bounds: BOUNDS,
    }
}

/// Both messages of a day. The execution of the second one starts so much later, when a third item is due.
fn two_parts(later: Duration) -> Scenario {
    let mut scenario = one_message();
    scenario.setting.items.push(vec![(later, Stage::Due)]);
    scenario.executions.push(Planned {
        after: later,
        ..execution(0, Part::Second)
    });
    scenario
}

/// The first messages of two days. The first item is due on the second one.
fn two_days(day_ends_after: Duration) -> Scenario {
    let mut scenario = one_message();
    scenario.setting.day_ends_after = day_ends_after;
    scenario.setting.items[0].push((day_ends_after, Stage::Due));
    scenario.executions.push(execution(1, Part::First));
    scenario
}

/// Both messages of a day, and the first one of the next day.
fn everything(day_ends_after: Duration) -> Scenario {
    let mut scenario = two_parts(LATER);
    scenario.setting.day_ends_after = day_ends_after;
    scenario.setting.items[0].push((day_ends_after, Stage::Due));
    scenario.executions.push(execution(1, Part::First));
    scenario.copies = 1;
    scenario
}

fn execution(day: u64, part: Part) -> Planned {
    Planned {
        day,
        part,
        after: Duration::ZERO,
    }
}

impl Scenario {
    fn with(self, faults: usize, switches: usize, moves: usize) -> Self {
        let bounds = Bounds {
            faults,
            switches,
            moves,
            ..self.bounds
        };
        Self { bounds, ..self }
    }

    /// With copies of the invocations.
    fn copied(self) -> Self {
        Self { copies: 1, ..self }
    }

    fn broken(mut self, broken: Broken) -> Self {
        self.bounds.broken = broken;
        self
    }

    fn spread(mut self) -> Self {
        self.bounds.is_spread = true;
        self
    }

    fn is_kept_every_way(&self) {
        match self.every_way() {
            Ok(runs) => println!("{runs} ways"),
            Err(problem) => panic!("{problem}"),
        }
    }
}

/// While the first attempt runs, between it and the end of a doubt, and after that.
const ENDS_OF_DAY: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(40),
    Duration::from_secs(90),
];

#[test]
fn a_person_is_told_once_despite_any_two_faults() {
    one_message().with(2, 0, 0).is_kept_every_way();
}

#[test]
fn two_concurrent_copies_tell_a_person_once_despite_any_fault() {
    one_message().copied().with(1, 2, 0).is_kept_every_way();
}

#[test]
fn an_item_that_moves_before_the_post_is_not_in_the_message_despite_any_fault() {
    one_message().with(1, 0, 1).is_kept_every_way();
}

#[test]
fn an_item_that_moves_between_two_copies_is_not_in_the_message() {
    one_message().copied().with(0, 2, 1).is_kept_every_way();
}

#[test]
fn an_item_that_moves_twice_is_told_of_as_it_is() {
    one_message().with(0, 0, 2).is_kept_every_way();
}

#[test]
fn both_messages_of_a_day_are_sent_despite_any_fault() {
    two_parts(LATER).with(1, 2, 0).is_kept_every_way();
    two_parts(Duration::ZERO).with(1, 1, 0).is_kept_every_way();
    two_parts(Duration::ZERO).with(0, 2, 0).is_kept_every_way();
    two_parts(Duration::ZERO).with(0, 1, 1).is_kept_every_way();
}

#[test]
fn a_message_in_doubt_is_settled_before_the_next_day_has_its_own() {
    for day_ends_after in ENDS_OF_DAY {
        two_days(day_ends_after).with(1, 2, 0).is_kept_every_way();
    }
    two_days(ENDS_OF_DAY[0]).with(2, 0, 0).is_kept_every_way();
}

#[test]
fn an_item_that_moves_while_a_message_is_in_doubt_is_told_of_on_the_next_day() {
    two_days(ENDS_OF_DAY[0]).with(1, 0, 1).is_kept_every_way();
}

#[test]
fn what_slack_refuses_until_the_day_is_over_is_told_on_the_next_day() {
    for day_ends_after in ENDS_OF_DAY {
        let mut scenario = two_days(day_ends_after);
        scenario.setting.limited_for = day_ends_after;
        scenario.clone().with(1, 0, 0).is_kept_every_way();
        scenario.clone().with(0, 0, 1).is_kept_every_way();
        scenario.copied().with(0, 2, 0).is_kept_every_way();
    }
}

#[test]
fn everything_is_told_once_despite_many_random_events() {
    for day_ends_after in ENDS_OF_DAY.into_iter().chain([Duration::from_hours(8)]) {
        let scenario = everything(day_ends_after).with(6, 10, 3);
        for scenario in [scenario.clone(), scenario.spread()] {
            scenario
                .by_chance(1, 1_500)
                .unwrap_or_else(|problem| panic!("{problem}"));
        }
    }
}

/// `story` is that of a run in which a rule was broken.
fn notices(explored: Explored, expected: &str) {
    let story = explored.unwrap_err();
    println!("{story}");
    assert!(story.contains(expected), "{story}");
}

#[test]
fn the_model_notices_if_a_bundle_is_stored_whatever_is_stored() {
    let scenario = one_message().copied().broken(Broken::Condition);
    notices(scenario.with(0, 2, 1).every_way(), "not in Slack");
}

#[test]
fn the_model_notices_if_a_bundle_is_dropped_without_a_claim() {
    let scenario = one_message().broken(Broken::Drop);
    notices(scenario.with(1, 0, 1).every_way(), "told twice");
}

#[test]
fn the_model_notices_if_the_items_are_not_checked_before_the_post() {
    let scenario = one_message().broken(Broken::Holds);
    notices(scenario.with(0, 0, 1).every_way(), "had moved");
}

#[test]
fn the_model_notices_if_the_day_is_not_checked_before_the_post() {
    let scenario = two_days(ENDS_OF_DAY[0]).broken(Broken::Holds);
    notices(scenario.with(1, 0, 0).every_way(), "after its day");
}

#[test]
fn the_model_notices_if_the_number_of_a_dropped_bundle_is_used_again() {
    let scenario = one_message().copied().broken(Broken::Number).spread();
    notices(scenario.with(2, 6, 2).by_chance(1, 20_000), "not in Slack");
}

#[test]
fn the_model_notices_if_a_message_that_was_found_is_not_recorded() {
    let scenario = one_message().broken(Broken::Record);
    notices(scenario.with(1, 0, 0).every_way(), "told twice");
}

#[test]
fn the_model_notices_if_what_was_dropped_counts_as_told() {
    let scenario = one_message().broken(Broken::Dropped);
    notices(scenario.with(0, 0, 1).every_way(), "not told of");
}

/// The window that remains: see `docs/delivery.md`.
#[test]
fn what_slack_accepts_after_the_settle_time_is_told_twice() {
    let mut scenario = one_message();
    scenario.bounds.lateness = SETTLE_TIME + Duration::from_secs(1);
    notices(scenario.with(1, 0, 0).every_way(), "told twice");
}

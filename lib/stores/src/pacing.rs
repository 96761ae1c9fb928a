//! The queue for each of Slack's limits, shared by all executions.
//!
//! An item is a limit. It says when the next call would be due if calls came evenly (the generic cell
//! rate algorithm, GCRA), so a call costs one conditional update, whatever the load. What Slack has
//! refused holds everybody up: the time is added to `nextAt`, for those who come, and to `heldUp`, by
//! which those who have their turn already know that it has moved.
//!
//! Times are in milliseconds of Slack's time since the epoch. That is the time of day, except on a
//! local stack that runs fast.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use apgl_contract::{StepError, Turn};
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue,
};

use crate::table::{Item, Table, epoch_seconds, number, whole_number};

/// A limit that nobody has met for so long is forgotten: channels come and go.
const RETENTION: Duration = Duration::from_hours(48);
/// How often a write is tried that others come before.
const MAX_CONFLICTS: usize = 6;

/// How fast one limit's queue moves on.
#[derive(Debug, Clone, Copy)]
pub struct Pace<'a> {
    pub limit: &'a str,
    /// Between two calls, in milliseconds.
    pub interval: u64,
    /// By how much a call may come before it is due, in milliseconds: what makes a burst.
    pub tolerance: u64,
}

/// The table of limits.
#[derive(Debug)]
pub struct Pacing {
    table: Table,
    /// The limits that others had met shortly before, the last time: which of two updates to try first.
    busy: Mutex<HashSet<String>>,
}

impl Pacing {
    pub fn new(table: Table) -> Self {
        Self {
            table,
            busy: Mutex::default(),
        }
    }

    /// Takes the next turns of a limit, for so many calls. They may be now.
    pub async fn take_turns(
        &self,
        pace: Pace<'_>,
        calls: u32,
        now: u64,
    ) -> Result<Turn, StepError> {
        let taken = pace.interval * u64::from(calls);
        let mut is_busy = self.busy().contains(pace.limit);
        for _ in 0..MAX_CONFLICTS {
            let update = if is_busy {
                self.update(pace, "SET nextAt = nextAt + :taken, expiresAt = :expiry")
                    .condition_expression("nextAt > :now")
                    .expression_attribute_values(":taken", number(taken))
            } else {
                self.update(pace, "SET nextAt = :next, expiresAt = :expiry")
                    .condition_expression("attribute_not_exists(nextAt) OR nextAt <= :now")
                    .expression_attribute_values(":next", number(now + taken))
            };
            let update = update.expression_attribute_values(":now", number(now));
            let answer = update.return_values(ReturnValue::AllNew).send().await;
            if let Some(updated) = self.table.if_it_holds("UpdateItem", answer)? {
                if is_busy {
                    self.busy().insert(pace.limit.to_owned());
                } else {
                    self.busy().remove(pace.limit);
                }
                let state = State::of(&updated.attributes.unwrap_or_default());
                return Ok(state.turn_just_taken(pace, calls, now));
            }
            is_busy = !is_busy;
        }
        Err(self.others_were_faster())
    }

    /// When a turn that was taken earlier comes, by what has held everybody up since.
    pub async fn moved(&self, turn: Turn) -> Result<Turn, StepError> {
        let item = self.table.get("limit", &turn.limit).await?;
        let held_up = State::of(&item.unwrap_or_default()).held_up;
        Ok(Turn {
            at: turn.comes_at(held_up),
            held_up: held_up.max(turn.held_up),
            ..turn
        })
    }

    /// Slack has refused so many calls: nobody's turn comes before `until`. Answers the caller's next
    /// turn, for as many.
    pub async fn hold_up(
        &self,
        pace: Pace<'_>,
        calls: u32,
        now: u64,
        until: u64,
    ) -> Result<Turn, StepError> {
        for _ in 0..MAX_CONFLICTS {
            let item = self.table.get("limit", pace.limit).await?;
            let state = State::of(&item.unwrap_or_default());
            let longer = until.saturating_sub(state.held_up_until.max(now));
            if longer == 0 || self.hold_up_by(longer, &state, pace, now, until).await? {
                return self.take_turns(pace, calls, now).await;
            }
        }
        Err(self.others_were_faster())
    }

    /// Whether nobody else has held the limit up since `state` was read.
    async fn hold_up_by(
        &self,
        longer: u64,
        state: &State,
        pace: Pace<'_>,
        now: u64,
        until: u64,
    ) -> Result<bool, StepError> {
        // After a refusal there is no burst.
        let earliest = now + pace.tolerance;
        let (next_at, is_ahead) = if state.next_at > earliest {
            ("nextAt + :longer", "nextAt > :earliest")
        } else {
            (
                ":earliest + :longer",
                "attribute_not_exists(nextAt) OR nextAt <= :earliest",
            )
        };
        let set = format!(
            "SET nextAt = {next_at}, heldUp = :heldUp, heldUpUntil = :until, expiresAt = :expiry"
        );
        let update = self
            .update(pace, &set)
            .expression_attribute_values(":longer", number(longer))
            .expression_attribute_values(":earliest", number(earliest))
            .expression_attribute_values(":heldUp", number(state.held_up + longer))
            .expression_attribute_values(":until", number(until));
        let update = if state.held_up_until == 0 {
            update.condition_expression(format!(
                "({is_ahead}) AND attribute_not_exists(heldUpUntil)"
            ))
        } else {
            update
                .condition_expression(format!("({is_ahead}) AND heldUpUntil = :was"))
                .expression_attribute_values(":was", number(state.held_up_until))
        };
        let answer = update.send().await;
        Ok(self.table.if_it_holds("UpdateItem", answer)?.is_some())
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, pace: Pace<'_>, expression: &str) -> UpdateItemFluentBuilder {
        let expiry = epoch_seconds(SystemTime::now() + RETENTION);
        self.table
            .update("limit", pace.limit)
            .update_expression(expression)
            .expression_attribute_values(":expiry", number(expiry))
    }

    fn others_were_faster(&self) -> StepError {
        StepError::StoreUnavailable {
            store: self.table.name.clone(),
            operation: "UpdateItem",
            reason: "others were faster again and again".to_owned(),
        }
    }
}

/// What an item says. A limit that nobody has met yet is all 0.
struct State {
    next_at: u64,
    held_up: u64,
    held_up_until: u64,
}

impl State {
    fn of(item: &Item) -> Self {
        let number = |field| whole_number(item, field).unwrap_or_default();
        Self {
            next_at: number("nextAt"),
            held_up: number("heldUp"),
            held_up_until: number("heldUpUntil"),
        }
    }

    fn turn_just_taken(&self, pace: Pace<'_>, calls: u32, now: u64) -> Turn {
        let due = self.next_at.saturating_sub(pace.interval);
        Turn {
            limit: pace.limit.to_owned(),
            calls,
            at: due.saturating_sub(pace.tolerance).max(now),
            held_up: self.held_up,
        }
    }
}

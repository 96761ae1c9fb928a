//! What an execution did, from the events that Step Functions keeps.

use apgl_client::Failure;
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
use jiff::Timestamp;

use crate::time::timestamp;

/// One visit to a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    pub state: String,
    pub kind: StateKind,
    pub began: Timestamp,
    /// `None` while the execution is in it.
    pub ended: Option<Timestamp>,
    /// For a Task: the calls of its function.
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    Task,
    Wait,
    Other,
}

/// One call of a Task's function.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
    pub failed: Option<Failed>,
    /// Whether a redrive started this attempt.
    pub redriven: bool,
}

/// How an attempt failed: the error and the cause, as Lambda or Step Functions reported them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    pub error: String,
    pub cause: String,
}

impl Visit {
    /// The failures of its attempts.
    pub fn failures(&self) -> impl Iterator<Item = &Failed> {
        self.attempts
            .iter()
            .filter_map(|attempt| attempt.failed.as_ref())
    }
}

impl Failed {
    /// The error, with its reason if the error is ours.
    pub fn said(&self) -> String {
        Failure::new(&self.error, &self.cause).to_string()
    }
}

/// The visits, in order.
///
/// Source: "`HistoryEvent`", AWS Step Functions API Reference.
pub fn visits(events: &[HistoryEvent]) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    let mut redriven = false;
    for event in events {
        let at = timestamp(&event.timestamp);
        if let Some(entered) = &event.state_entered_event_details {
            visits.push(Visit {
                state: entered.name.clone(),
                kind: kind_of(&event.r#type),
                began: at,
                ended: None,
                attempts: Vec::new(),
            });
            continue;
        }
        let Some(visit) = visits.last_mut() else {
            continue;
        };
        if event.state_exited_event_details.is_some() {
            visit.ended = Some(at);
        } else if let Some(failed) = failure_in(event) {
            match visit.attempts.last_mut() {
                Some(attempt) if attempt.failed.is_none() => {
                    attempt.ended = Some(at);
                    attempt.failed = Some(failed);
                }
                // A failure before the function is called, for example of an expression.
                _ => visit.attempts.push(Attempt {
                    began: at,
                    ended: Some(at),
                    failed: Some(failed),
                    redriven: std::mem::take(&mut redriven),
                }),
            }
        } else {
            match &event.r#type {
                HistoryEventType::TaskScheduled | HistoryEventType::LambdaFunctionScheduled => {
                    // A redrive continues in the state that failed, with or without entering it again.
                    if redriven {
                        visit.ended = None;
                    }
                    visit.attempts.push(Attempt {
                        began: at,
                        ended: None,
                        failed: None,
                        redriven: std::mem::take(&mut redriven),
                    });
                }
                HistoryEventType::TaskSucceeded | HistoryEventType::LambdaFunctionSucceeded => {
                    if let Some(attempt) = visit.attempts.last_mut() {
                        attempt.ended = Some(at);
                    }
                }
                HistoryEventType::ExecutionFailed
                | HistoryEventType::ExecutionTimedOut
                | HistoryEventType::ExecutionAborted => visit.ended = Some(at),
                HistoryEventType::ExecutionRedriven => redriven = true,
                _ => {}
            }
        }
    }
    visits
}

fn kind_of(entered: &HistoryEventType) -> StateKind {
    match entered {
        HistoryEventType::TaskStateEntered => StateKind::Task,
        HistoryEventType::WaitStateEntered => StateKind::Wait,
        _ => StateKind::Other,
    }
}

fn failure_in(event: &HistoryEvent) -> Option<Failed> {
    let (error, cause) = if let Some(failed) = &event.task_failed_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.task_timed_out_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.task_start_failed_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.task_submit_failed_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.lambda_function_failed_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.lambda_function_timed_out_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.lambda_function_schedule_failed_event_details {
        (&failed.error, &failed.cause)
    } else if let Some(failed) = &event.evaluation_failed_event_details {
        (&failed.error, &failed.cause)
    } else {
        return None;
    };
    let timed_out = "States.Timeout".to_owned();
    Some(Failed {
        error: error.clone().unwrap_or(timed_out),
        cause: cause.clone().unwrap_or_default(),
    })
}

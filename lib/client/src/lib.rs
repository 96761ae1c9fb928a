//! Starting workflows, each event once.
//!
//! A caller gives each event a key of its own: the event's id. The execution's name is made from it,
//! so the same event, started twice, is one execution, for as long as Step Functions keeps names apart:
//! 90 days.
//!
//! | the caller starts | with this input | answer |
//! |---|---|---|
//! | a new key | any | [`Started`] |
//! | a key that has been started | the same | [`Started`] too: the execution runs, or has ended, well or badly |
//! | a key that has been started | another | [`StartError::Conflict`] |
//!
//! An execution that has failed keeps its name. It is redriven, not started again.
//!
//! The caller's role needs `states:StartExecution` on the state machine and `states:DescribeExecution`
//! on its executions: what a name was started with is read when it is there already.

mod name;
mod start;

pub use name::{ExecutionName, NameError};
pub use start::{Client, StartError, Started};

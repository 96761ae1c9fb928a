//! What callers, workflows and functions agree on.
//!
//! * [`request`]: what a caller sends to a workflow, checked while it is read. A value of these
//!   types is valid: there is no second step of validation to forget.
//! * [`step`]: the envelope in which a workflow hands each step its input.
//! * [`outcome`]: what a workflow answers.
//! * `schema`, with the feature of that name: JSON Schemas of the requests and outcomes.
//! * [`error`]: the errors by which a step fails, and the names that the state machines match.
//!
//! Nothing here talks to Slack or AWS.

pub mod channel;
pub mod decode;
pub mod email;
pub mod error;
pub mod message;
pub mod outcome;
pub mod request;
#[cfg(feature = "schema")]
pub mod schema;
pub mod step;

pub use channel::{ChannelName, ChannelRef, ChannelText, Visibility};
pub use decode::{InvalidField, decode};
pub use email::{Email, Members};
pub use error::{ErrorName, Kind, StepError};
pub use message::{Message, MessageTs};
pub use outcome::{SkipReason, Skipped};
pub use step::{Invocation, Run, SlackUser, SlackUserId, Step};

//! The contract between callers, workflows and functions.
//!
//! * [`request`]: what a caller sends to a workflow. Deserialising a request validates it, so every value of
//!   these types is valid and no separate validation can be forgotten.
//! * [`notice`]: what a notification says about itself besides its message.
//! * [`step`]: the envelope in which a workflow passes each step its input.
//! * [`item`]: what people work on, and for which somebody may have to act.
//! * [`reminders`]: when people are reminded of an item.
//! * [`outcome`]: what a workflow returns.
//! * `schema`, with the feature of that name: JSON Schemas of the requests and outcomes.
//! * [`error`]: the errors that a step can fail with, and the names that the state machines match.
//!
//! Nothing here talks to Slack or AWS.

mod category;
pub mod channel;
pub mod decode;
mod due_date;
pub mod email;
pub mod epoch;
pub mod error;
pub mod item;
mod line;
mod link;
pub mod message;
pub mod mrkdwn;
pub mod notice;
pub mod outcome;
pub mod reminders;
pub mod request;
#[cfg(feature = "schema")]
pub mod schema;
mod size;
pub mod step;
pub mod surrogates;

pub use category::Category;
pub use channel::{ChannelName, ChannelRef, ChannelText, Visibility, composed};
pub use decode::{InvalidField, decode};
pub use due_date::DueDate;
pub use email::{Email, Members, Mentions, ReportedAddress, UncheckedAddresses};
pub use error::{ErrorName, Origin, Recovery, StepError};
pub use item::{Item, ItemId};
pub use line::{Line, PersonName, Reward, State, Title};
pub use link::Link;
pub use message::{Message, MessageTs};
pub use notice::{Notice, Sequence, Timestamp};
pub use outcome::{SkipReason, Skipped, StepFailure};
pub use step::{DirectMessage, Invocation, Run, SlackUser, SlackUserId, Step};

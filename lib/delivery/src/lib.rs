//! Posts a message to Slack exactly once.
//!
//! Slack has no idempotency key. So each attempt claims the delivery in the delivery table before it posts. If the
//! outcome of an earlier attempt is unknown, the next attempt looks for the message in Slack first.

pub mod card;
mod guard;
mod outbox;
pub mod protocol;
pub mod reminder;
pub mod rich_text;
mod target;

pub use guard::WhileItHolds;
pub use outbox::{Content, SlackOutbox, attempt_id, place_of};
pub use protocol::{NotDelivered, deliver};
pub use target::Target;

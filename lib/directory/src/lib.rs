//! Who and what is where in Slack: channels by their names, people by their e-mail addresses.
//!
//! Both are asked of our tables first, and of Slack only when the tables don't know, or when Slack
//! says that what they know is wrong. What Slack says is written through to the tables.

mod channels;
mod people;
mod scan;

pub use channels::{Directory, Found};
pub use people::{People, Person};

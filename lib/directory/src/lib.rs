//! Finds Slack channels by name and users by e-mail address, with DynamoDB as the cache.
//!
//! The tables are read first. Slack is asked if the tables have no entry, if the entry is too old, or if Slack has
//! shown that it is wrong. What Slack returns is written to the tables.

mod channels;
mod directory;
mod people;
mod scan;
mod trust;

pub use channels::Found;
pub use directory::{Directory, OUT_OF_SIGHT};
pub use people::{People, Person, Purpose, Resolved};

//! Finds Slack channels by name and users by e-mail address, with DynamoDB as the cache.
//!
//! The tables are read first. Slack is asked only if the tables have no entry, or if Slack has shown that the
//! entry is wrong. What Slack returns is written to the tables.

mod channels;
mod people;
mod scan;

pub use channels::{Directory, Found};
pub use people::{People, Person};

//! What the sandbox offers besides Slack's methods: limits, faults, seeds, its log and its page.
#![allow(clippy::unwrap_used)]

mod dates;
mod faults;
mod limits;
mod log;
mod options;
mod page;
mod seed;
mod team;
mod workspace;

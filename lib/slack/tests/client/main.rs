//! Tests the client with responses like Slack's.
#![allow(clippy::unwrap_used)]

mod answers;
mod at_once;
mod connections;
mod errors;
mod fake_slack;
mod requests;
mod time_limits;
mod tokens;

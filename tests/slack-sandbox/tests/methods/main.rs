//! Compares every method of the sandbox with Slack's documentation.
#![allow(clippy::unwrap_used)]

mod channels;
mod direct_messages;
mod lists;
mod members;
mod messages;
mod own_messages;
mod permissions;
mod requests;
mod slack;
mod users;

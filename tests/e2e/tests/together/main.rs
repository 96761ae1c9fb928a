//! Tests that run concurrently on one stack. Each uses channels and people of its own.

mod bad_requests;
mod categories;
mod channels;
mod command_line;
mod create_channel;
mod delete_channel;
mod delivery;
mod directory;
mod example_handler;
mod filter_patterns;
mod members;
mod metric_filters;
mod mpc_handlers;
mod notify_person;
mod notify_private_channel;
mod notify_public_channel;
mod operations;
mod other_languages;
mod rate_limits;
mod receipts;
mod redrive;
mod roles;
mod settled_events;
mod starting;
mod watch_executions;
mod who_must_act;

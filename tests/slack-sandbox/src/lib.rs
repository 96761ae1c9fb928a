//! The Slack sandbox: a server that behaves like Slack's documented Web API.
//!
//! | module | holds |
//! |---|---|
//! | [`workspace`] | users, channels, messages, tokens: the state, without HTTP |
//! | `channel`, `message` | a channel and a message |
//! | `methods` | Slack's methods under their own names, as rules over the workspace |
//! | [`limits`] | rate limits of the methods |
//! | [`faults`] | failures on demand |
//! | [`chaos`] | random failures |
//! | [`calls`] | the log of all calls |
//! | [`seed`] | the initial contents of the workspace |
//! | [`admin`] | a client for the admin routes |
//! | [`time_zone`] | time zones by name |
//! | `page` | the web page at `/` |
//! | [`server`] | HTTP |

pub mod admin;
pub mod calls;
mod channel;
pub mod chaos;
pub mod faults;
pub mod limits;
mod message;
mod methods;
mod page;
pub mod seed;
pub mod server;
pub mod time_zone;
pub mod workspace;

pub use admin::Admin;
pub use seed::Seed;
pub use server::{Options, Sandbox, SandboxError};

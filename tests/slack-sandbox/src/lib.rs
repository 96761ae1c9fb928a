//! The Slack sandbox: a server that answers as Slack's Web API is documented to.
//!
//! | module | holds |
//! |---|---|
//! | [`workspace`] | users, channels, messages, tokens: the state, without HTTP |
//! | `methods` | Slack's methods, each by its own name, as rules over the workspace |
//! | [`limits`] | how often a method may be called |
//! | [`faults`] | failures on demand |
//! | [`chaos`] | failures by chance |
//! | [`calls`] | the log of all calls |
//! | [`seed`] | what the workspace starts with |
//! | [`admin`] | a client for the admin routes |
//! | `page` | what a person sees at `/` |
//! | [`server`] | HTTP |

pub mod admin;
pub mod calls;
pub mod chaos;
pub mod faults;
pub mod limits;
mod methods;
mod page;
pub mod seed;
pub mod server;
pub mod workspace;

pub use admin::Admin;
pub use seed::Seed;
pub use server::{Options, Sandbox, StartError};

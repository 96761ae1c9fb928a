//! A typed client for the Slack Web API methods that the steps use. Each function has Slack's own name.
//!
//! The client does not retry: the workflow does, because its waits cost nothing. There is one exception. If Slack
//! refuses a call *because of the token*, the client reads the token again and repeats the call once. The refused
//! call had no effect, so this is safe for posts too.
//!
//! The client asks a [`RateLimiter`] before each call, because Slack's limits apply to the whole workspace and not
//! to one process.
//!
//! Source of all facts about Slack in this crate: Slack's published method pages, 2026-11.

mod auth;
mod chat;
mod client;
mod conversations;
mod error;
mod history;
mod membership;
mod page;
mod pins;
pub mod quotas;
mod token;
mod users;

pub use auth::AuthTest;
pub use chat::{Metadata, Post, PostedMessage, Update};
pub use client::{DEFAULT_API_URL, SlackClient};
pub use conversations::Conversation;
pub use error::SlackError;
pub use history::{HistoryMessage, Span};
pub use membership::{Invite, UserError};
pub use page::Page;
pub use quotas::{LimitedBy, RateLimiter, Unlimited};
pub use token::{FixedToken, NoToken, SlackToken, TokenError, TokenFuture, TokenSource};
pub use users::User;

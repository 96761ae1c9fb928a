//! A typed client for the Slack Web API methods that the steps use, each by Slack's own name.
//!
//! The client never retries: the workflow does, with waits that cost nothing. The one thing that it
//! does twice is a call that Slack refused *because of the token*, once, with a token read afresh;
//! such a call had no effect, so this holds for posts too.
//!
//! Each call asks a [`RateLimiter`] first, since Slack's limits are the workspace's and not this
//! process's.
//!
//! Source of every fact about Slack in here: Slack's published method pages, 2026-11.

mod auth;
mod chat;
mod client;
mod conversations;
mod error;
mod history;
mod membership;
mod page;
pub mod quotas;
mod token;
mod users;

pub use auth::AuthTest;
pub use chat::{Metadata, Post, PostedMessage};
pub use client::{DEFAULT_API_URL, SlackClient};
pub use conversations::Conversation;
pub use error::SlackError;
pub use history::HistoryMessage;
pub use membership::{Invite, UserError};
pub use page::Page;
pub use quotas::{LimitedBy, RateLimiter, Unlimited};
pub use token::{FixedToken, NoToken, SlackToken, TokenError, TokenFuture, TokenSource};
pub use users::User;

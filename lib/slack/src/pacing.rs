//! Slack's limits as they are known, and leave to make a call.
//!
//! Limits are per method, workspace and app, so they are shared by all that runs at the same time. A
//! [`Pacer`] shares them out. A call that must wait is not made: it ends in
//! [`SlackError::RateLimited`] with a turn, as if Slack had refused it, and the workflow waits.
//!
//! Source: "Rate limits", Slack's documentation, 2026-11. How large a burst may be it does not say.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use apgl_contract::Turn;

use crate::SlackError;

/// One of Slack's limits: on average one call every `interval`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// For example `users.lookupByEmail`, or `chat.postMessage#C012AB3CD` for one channel.
    pub name: String,
    pub interval: Duration,
    /// How many calls may come at once after a rest.
    pub burst: u32,
}

/// A call that asks for leave, or several of one method that go at once.
#[derive(Debug, Clone, Copy)]
pub struct PacedCall<'a> {
    pub method: &'static str,
    /// The narrowest first.
    pub limits: &'a [Limit],
    /// How many go at once by this leave.
    pub calls: u32,
    /// How many such calls the caller is going to make, these too. What is not made at once waits
    /// together.
    pub ahead: u32,
    /// It goes on with what a call before has begun, and would have to begin again after a wait.
    pub follows: bool,
}

/// The answer to a call that asks for leave.
pub type LeaveFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SlackError>> + Send + 'a>>;
/// What a caller waits for after Slack has refused a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wait {
    pub retry_after: Duration,
    pub turns: Vec<Turn>,
}

pub type WaitFuture<'a> = Pin<Box<dyn Future<Output = Wait> + Send + 'a>>;

/// Who says when a call may be made.
pub trait Pacer: fmt::Debug + Send + Sync {
    /// Asks for leave to call now.
    ///
    /// # Errors
    /// [`SlackError::RateLimited`], with a turn, when the call must wait.
    fn leave<'a>(&'a self, call: PacedCall<'a>) -> LeaveFuture<'a>;

    /// Slack refused so many calls all the same: nobody calls before `retry_after` is over, and the
    /// caller perhaps later.
    fn refused<'a>(&'a self, call: PacedCall<'a>, retry_after: Duration) -> WaitFuture<'a>;
}

/// Every call is made at once, for a tool that calls Slack alone.
#[derive(Debug, Clone, Copy)]
pub struct Unpaced;

impl Pacer for Unpaced {
    fn leave<'a>(&'a self, _call: PacedCall<'a>) -> LeaveFuture<'a> {
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _call: PacedCall<'a>, retry_after: Duration) -> WaitFuture<'a> {
        let turns = Vec::new();
        Box::pin(async move { Wait { retry_after, turns } })
    }
}

/// "About one message a second per channel"; "short bursts" of more are allowed.
const POST_INTERVAL: Duration = Duration::from_secs(1);
const POST_BURST: u32 = 2;
/// "Several hundred a minute" for the workspace.
const POSTS_PER_MINUTE: u32 = 600;

/// The limits under which `method` is called, the narrowest first.
pub(crate) fn limits_of(method: &'static str, arguments: &[(&str, &str)]) -> Vec<Limit> {
    if method != "chat.postMessage" {
        return vec![by_minute(method, calls_per_minute(method))];
    }
    let channel = arguments.iter().find(|(name, _)| *name == "channel");
    let in_channel = channel.map(|(_, channel)| Limit {
        name: format!("{method}#{channel}"),
        interval: POST_INTERVAL,
        burst: POST_BURST,
    });
    in_channel
        .into_iter()
        .chain([by_minute(method, POSTS_PER_MINUTE)])
        .collect()
}

/// Half of a minute's calls may come at once. Who goes on at that rate meets Slack's limit once, in
/// the first minute, and from then on is paced below it.
fn by_minute(method: &str, calls: u32) -> Limit {
    Limit {
        name: method.to_owned(),
        interval: Duration::from_mins(1) / calls,
        burst: calls / 2,
    }
}

/// A further page of what is read from its beginning each time. Slack welcomes bursts of such calls
/// ("especially when using cursor-based pagination"), so the page counts and does not wait: a list that
/// waited between its pages would never come to its end. Those lists whose place is kept, of channels
/// and of users, do wait.
pub(crate) fn is_a_further_page(method: &str, arguments: &[(&str, &str)]) -> bool {
    let begins_again = matches!(
        method,
        "conversations.members" | "conversations.history" | "conversations.replies"
    );
    let mut cursors = arguments.iter().filter(|(name, _)| *name == "cursor");
    begins_again && cursors.any(|(_, cursor)| !cursor.is_empty())
}

/// Calls a minute, by Slack's tiers.
fn calls_per_minute(method: &str) -> u32 {
    match method {
        "auth.test" => 600,
        "conversations.members" => 100,
        "users.lookupByEmail"
        | "conversations.invite"
        | "conversations.kick"
        | "conversations.info"
        | "conversations.join"
        | "conversations.history"
        | "conversations.replies" => 50,
        _ => 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_limited_in_its_channel_and_then_in_the_workspace() {
        let arguments = [("channel", "C1"), ("text", "x")];
        let limits = limits_of("chat.postMessage", &arguments);
        let names: Vec<_> = limits.iter().map(|limit| limit.name.as_str()).collect();
        assert_eq!(names, ["chat.postMessage#C1", "chat.postMessage"]);
        assert_eq!(limits[0].interval, Duration::from_secs(1));
        assert_eq!(limits[1].interval, Duration::from_millis(100));
    }

    #[test]
    fn only_the_further_pages_of_a_list_that_begins_again_follow() {
        let (first, further) = ([("cursor", "")], [("cursor", "next")]);
        assert!(!is_a_further_page("conversations.members", &first));
        assert!(is_a_further_page("conversations.members", &further));
        assert!(!is_a_further_page("conversations.list", &further));
    }

    #[test]
    fn any_other_method_is_limited_by_its_tier() {
        let [limit] = &limits_of("users.lookupByEmail", &[("email", "a@example.com")])[..] else {
            panic!("one limit");
        };
        assert_eq!(limit.name, "users.lookupByEmail");
        assert_eq!(limit.interval, Duration::from_millis(1_200));
    }
}

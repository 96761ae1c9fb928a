//! Slack's rate limits: the quotas that apply to a call, and the rate limiter that is asked before it.
//!
//! Slack limits each method per workspace and app, and posts also per channel. All executions share these limits,
//! so the client asks a [`RateLimiter`] before each call.
//!
//! Source: "Rate limits", Slack's documentation, 2026-11. It does not say how large a burst may be.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::chat::{CHAT_POST_MESSAGE, CHAT_UPDATE};

/// One of Slack's limits: on average one call every `interval`, and up to `burst` calls at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// For example `users.lookupByEmail`, or `chat.postMessage#C012AB3CD` for one channel.
    pub name: String,
    pub interval: Duration,
    pub burst: u32,
}

/// Calls of one method, made at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a> {
    /// The quotas that apply to them, the narrowest first.
    pub quotas: &'a [Quota],
    pub count: u32,
    /// How many calls of the method the caller plans to make in total, including these. If these calls have to
    /// wait, the planned ones are reserved with them, so that all wait only once.
    pub planned: u32,
    /// The calls count towards the quotas but never wait: they read later pages of a list that every attempt reads
    /// from its beginning.
    pub never_wait: bool,
}

/// The slots of calls that may be made now. If Slack refuses a call, pass them to [`RateLimiter::penalize`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permit {
    pub slots: Vec<Slot>,
}

/// The time at which a quota allows a call, without the delay from penalties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The quota's name.
    pub quota: String,
    /// In milliseconds of Slack's time since the epoch.
    pub at: u64,
    /// The quota's delay from penalties when the slot was taken, in milliseconds.
    pub delay: u64,
}

/// Why the calls can't be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    Wait(Wait),
    /// The wait would be longer than the caller can wait. No new call is reserved.
    QueueTooLong {
        wait: Duration,
    },
}

/// How long to wait before the calls are made or repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub retry_after: Duration,
    /// Whether the calls are certain to be made after the wait. `false` after a refusal, because Slack may refuse
    /// them again.
    pub is_certain: bool,
}

pub type AcquireFuture<'a> = Pin<Box<dyn Future<Output = Result<Permit, Limited>> + Send + 'a>>;
pub type PenalizeFuture<'a> = Pin<Box<dyn Future<Output = Wait> + Send + 'a>>;

/// Decides when calls may be made.
pub trait RateLimiter: fmt::Debug + Send + Sync {
    /// Takes the calls from their quotas.
    ///
    /// # Errors
    /// [`Limited`] if they can't be made now.
    fn acquire<'a>(&'a self, calls: Calls<'a>) -> AcquireFuture<'a>;

    /// Reports that Slack refused `calls.count` of the permitted calls and asked for a wait of `retry_after`. All
    /// calls under the same quota are delayed. Returns how long the refused calls must wait.
    fn penalize<'a>(
        &'a self,
        calls: Calls<'a>,
        permit: &'a Permit,
        retry_after: Duration,
    ) -> PenalizeFuture<'a>;
}

/// A type that calls Slack and can use a rate limiter.
pub trait LimitedBy {
    /// Returns a copy that uses this rate limiter.
    #[must_use]
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self;
}

/// Allows every call immediately: the default of a client, and what a deployment without the rate limiter uses.
#[derive(Debug, Clone, Copy)]
pub struct Unlimited;

impl RateLimiter for Unlimited {
    fn acquire<'a>(&'a self, _calls: Calls<'a>) -> AcquireFuture<'a> {
        Box::pin(async { Ok(Permit::default()) })
    }

    fn penalize<'a>(
        &'a self,
        _calls: Calls<'a>,
        _permit: &'a Permit,
        retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        let is_certain = false;
        Box::pin(async move {
            Wait {
                retry_after,
                is_certain,
            }
        })
    }
}

/// Slack: "about one message a second per channel"; "short bursts" above that are allowed.
const POST_INTERVAL: Duration = Duration::from_secs(1);
const POST_BURST: u32 = 2;
/// Slack: "several hundred a minute" for the workspace.
const POSTS_PER_MINUTE: u32 = 600;

/// The quotas that apply to a call of `method`, the narrowest first.
pub(crate) fn quotas_of(method: &'static str, arguments: &[(&str, &str)]) -> Vec<Quota> {
    let channel = arguments.iter().find(|(name, _)| *name == "channel");
    let in_channel = channel
        .filter(|_| method == CHAT_POST_MESSAGE)
        .map(|(_, channel)| quota_named(&format!("{method}#{channel}")));
    let in_workspace = quota_named(method);
    in_channel.into_iter().chain([in_workspace]).collect()
}

/// The quota with this name.
pub fn quota_named(name: &str) -> Quota {
    if name.contains('#') {
        return Quota {
            name: name.to_owned(),
            interval: POST_INTERVAL,
            burst: POST_BURST,
        };
    }
    per_minute(name, calls_per_minute(name))
}

/// The burst is half of a minute's calls. A caller that uses the burst and then the full rate can exceed Slack's
/// limit only once, in the first minute.
fn per_minute(method: &str, calls: u32) -> Quota {
    Quota {
        name: method.to_owned(),
        interval: Duration::from_mins(1) / calls,
        burst: calls / 2,
    }
}

/// Whether the call reads a later page of a list that every attempt reads from its beginning. Slack tolerates
/// bursts of such calls ("especially when using cursor-based pagination"), and a step that waited between the pages
/// would start again each time and never reach the end. The lists of channels and users do wait, because their
/// cursors are stored.
pub(crate) fn is_further_page(method: &str, arguments: &[(&str, &str)]) -> bool {
    let is_read_from_its_beginning = matches!(
        method,
        "conversations.members" | "conversations.history" | "conversations.replies"
    );
    let mut cursors = arguments.iter().filter(|(name, _)| *name == "cursor");
    is_read_from_its_beginning && cursors.any(|(_, cursor)| !cursor.is_empty())
}

/// Calls per minute, from Slack's tiers.
fn calls_per_minute(method: &str) -> u32 {
    match method {
        CHAT_POST_MESSAGE => POSTS_PER_MINUTE,
        "auth.test" => 600,
        "conversations.members" => 100,
        CHAT_UPDATE
        | "users.lookupByEmail"
        | "users.conversations"
        | "conversations.invite"
        | "conversations.kick"
        | "conversations.info"
        | "conversations.join"
        | "conversations.open"
        | "conversations.history"
        | "conversations.replies" => 50,
        _ => 20,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_post_counts_towards_its_channels_quota_and_then_the_workspaces() {
        let arguments = [("channel", "C1"), ("text", "x")];
        let quotas = quotas_of("chat.postMessage", &arguments);
        let names: Vec<_> = quotas.iter().map(|quota| quota.name.as_str()).collect();
        assert_eq!(names, ["chat.postMessage#C1", "chat.postMessage"]);
        assert_eq!(quotas[0].interval, Duration::from_secs(1));
        assert_eq!(quotas[1].interval, Duration::from_millis(100));
    }

    #[test]
    fn only_later_pages_of_a_list_that_is_read_from_its_start_never_wait() {
        let (first, further) = ([("cursor", "")], [("cursor", "next")]);
        assert!(!is_further_page("conversations.members", &first));
        assert!(is_further_page("conversations.members", &further));
        assert!(!is_further_page("conversations.list", &further));
    }

    #[rstest]
    #[case("users.lookupByEmail", 50)]
    #[case("conversations.open", 50)]
    #[case("conversations.members", 100)]
    #[case("conversations.create", 20)]
    #[case("chat.update", 50)]
    #[case("pins.add", 20)]
    fn any_other_method_has_the_quota_of_its_tier(
        #[case] method: &'static str,
        #[case] calls: u32,
    ) {
        let quotas = quotas_of(method, &[("email", "a@example.com")]);
        let [quota] = &quotas[..] else {
            panic!("one quota");
        };
        assert_eq!(quota.name, method);
        assert_eq!(quota.interval, Duration::from_mins(1) / calls);
    }
}

//! Rate limits: calls per minute, method and token.
//!
//! A sandbox minute lasts 60 s times the time factor. `Retry-After` is in sandbox seconds, because the workflow
//! scales its waits by the same factor.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::methods::Method;

const MINUTE: Duration = Duration::from_mins(1);
/// chat.postMessage: about one a second for a channel, with "short bursts" of more allowed. Slack gives no number for
/// the bursts, nor for the workspace, which has "several hundred a minute".
const POST_INTERVAL: Duration = Duration::from_secs(1);
const POST_BURST: u32 = 4;

#[derive(Debug)]
pub struct Limits {
    pub enabled: bool,
    /// How long a sandbox second lasts, in seconds.
    pub time_factor: f64,
    windows: HashMap<(String, String), VecDeque<Instant>>,
    /// By token and channel: when the next post would be due if posts were evenly spaced.
    posts_due: HashMap<(String, String), Instant>,
}

impl Limits {
    pub fn new(enabled: bool, time_factor: f64) -> Self {
        Self {
            enabled,
            time_factor,
            windows: HashMap::new(),
            posts_due: HashMap::new(),
        }
    }

    pub fn forget(&mut self) {
        self.windows.clear();
        self.posts_due.clear();
    }

    /// Counts a call. `Err` contains the sandbox seconds to wait before trying again.
    pub(crate) fn count(
        &mut self,
        token: &str,
        method: &Method,
        channel: Option<&str>,
        now: Instant,
    ) -> Result<(), u64> {
        if !self.enabled {
            return Ok(());
        }
        let minute = MINUTE.mul_f64(self.time_factor);
        let by_method = (token.to_owned(), method.name.to_owned());
        self.check(&by_method, method.calls_per_minute, minute, now)?;
        if let (Some(channel), "chat.postMessage") = (channel, method.name) {
            let by_channel = (token.to_owned(), channel.to_owned());
            let interval = POST_INTERVAL.mul_f64(self.time_factor);
            let due = self.posts_due.entry(by_channel).or_insert(now);
            let early = due.saturating_duration_since(now);
            let too_early = early.saturating_sub(interval * (POST_BURST - 1));
            if !too_early.is_zero() {
                return Err(sandbox_seconds(too_early, self.time_factor));
            }
            *due = (*due).max(now) + interval;
        }
        self.windows.entry(by_method).or_default().push_back(now);
        Ok(())
    }

    fn check(
        &mut self,
        key: &(String, String),
        calls: usize,
        window: Duration,
        now: Instant,
    ) -> Result<(), u64> {
        let times = self.windows.entry(key.clone()).or_default();
        while times
            .front()
            .is_some_and(|time| now.duration_since(*time) >= window)
        {
            times.pop_front();
        }
        if times.len() < calls {
            return Ok(());
        }
        let free_in = times.front().map_or(window, |oldest| {
            window.saturating_sub(now.duration_since(*oldest))
        });
        Err(sandbox_seconds(free_in, self.time_factor))
    }
}

/// Rounds up to whole seconds, the unit of `Retry-After`.
fn sandbox_seconds(duration: Duration, time_factor: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 60"
    )]
    let seconds = (duration.as_secs_f64() / time_factor).ceil() as u64;
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::METHODS;

    fn method(name: &str) -> &'static Method {
        let found = METHODS.iter().find(|method| method.name == name);
        found.expect("it is a method")
    }

    #[test]
    fn a_window_slides_and_retry_after_is_in_sandbox_seconds() {
        let mut limits = Limits::new(true, 0.1);
        let (create, start) = (method("conversations.create"), Instant::now());
        for _ in 0..20 {
            assert_eq!(limits.count("t", create, None, start), Ok(()));
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(limits.count("t", create, None, later), Err(50));
        assert_eq!(limits.count("other", create, None, later), Ok(()));
        assert_eq!(
            limits.count("t", create, None, start + MINUTE.mul_f64(0.1)),
            Ok(())
        );
    }

    #[test]
    fn a_channel_accepts_one_message_a_second_and_a_short_burst() {
        let mut limits = Limits::new(true, 1.0);
        let start = Instant::now();
        let mut post = |channel, after| {
            let now = start + Duration::from_secs_f64(after);
            limits.count("t", method("chat.postMessage"), Some(channel), now)
        };
        for _ in 0..POST_BURST {
            assert_eq!(post("C1", 0.0), Ok(()));
        }
        assert_eq!(post("C1", 0.0), Err(1));
        assert_eq!(post("C2", 0.0), Ok(()));
        assert_eq!(post("C1", 0.9), Err(1));
        assert_eq!(post("C1", 1.0), Ok(()));
        assert_eq!(post("C1", 1.5), Err(1));
    }
}

//! How often a method may be called: per minute, per method, per token.
//!
//! A sandbox minute lasts 60 s times the time factor; `Retry-After` is in sandbox seconds, because
//! the waits of the workflow that reads it are scaled by the same factor.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_mins(1);
/// chat.postMessage: "about one message a second per channel, several hundred a minute per workspace".
const POSTS_PER_MINUTE: usize = 300;
const POST_INTERVAL: Duration = Duration::from_secs(1);

/// Calls a minute, by Slack's tiers.
pub(crate) fn calls_per_minute(method: &str) -> usize {
    match method {
        "auth.test" => 600,
        "chat.postMessage" => POSTS_PER_MINUTE,
        "users.info" | "conversations.members" => 100,
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

#[derive(Debug)]
pub struct Limits {
    pub enabled: bool,
    /// How long a sandbox second lasts, in seconds.
    pub time_factor: f64,
    windows: HashMap<(String, String), VecDeque<Instant>>,
}

impl Limits {
    pub fn new(enabled: bool, time_factor: f64) -> Self {
        Self {
            enabled,
            time_factor,
            windows: HashMap::new(),
        }
    }

    pub fn forget(&mut self) {
        self.windows.clear();
    }

    /// Counts a call. `Err` is the sandbox seconds after which it may be made again.
    pub(crate) fn count(
        &mut self,
        token: &str,
        method: &str,
        channel: Option<&str>,
        now: Instant,
    ) -> Result<(), u64> {
        if !self.enabled {
            return Ok(());
        }
        let minute = MINUTE.mul_f64(self.time_factor);
        let by_method = (token.to_owned(), method.to_owned());
        self.check(&by_method, calls_per_minute(method), minute, now)?;
        if let (Some(channel), "chat.postMessage") = (channel, method) {
            let by_channel = (token.to_owned(), channel.to_owned());
            self.check(&by_channel, 1, POST_INTERVAL.mul_f64(self.time_factor), now)?;
            self.windows.entry(by_channel).or_default().push_back(now);
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
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 60"
        )]
        let seconds = (free_in.as_secs_f64() / self.time_factor).ceil() as u64;
        Err(seconds.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_retry_after_is_in_sandbox_seconds() {
        let mut limits = Limits::new(true, 0.1);
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(
                limits.count("t", "conversations.create", None, start),
                Ok(())
            );
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(
            limits.count("t", "conversations.create", None, later),
            Err(50)
        );
        assert_eq!(
            limits.count("other", "conversations.create", None, later),
            Ok(())
        );
        assert_eq!(
            limits.count(
                "t",
                "conversations.create",
                None,
                start + MINUTE.mul_f64(0.1)
            ),
            Ok(())
        );
    }

    #[test]
    fn a_channel_takes_one_message_a_second() {
        let mut limits = Limits::new(true, 1.0);
        let start = Instant::now();
        assert_eq!(
            limits.count("t", "chat.postMessage", Some("C1"), start),
            Ok(())
        );
        assert_eq!(
            limits.count("t", "chat.postMessage", Some("C1"), start),
            Err(1)
        );
        assert_eq!(
            limits.count("t", "chat.postMessage", Some("C2"), start),
            Ok(())
        );
    }
}

//! Shares Slack's rate limits among all executions that call Slack at the same time.
//!
//! * [`gcra`]: the algorithm, as pure arithmetic on the state of one quota.
//! * [`table`]: the DynamoDB table with that state and the reservations of waiting calls.
//! * [`limiter`]: the rate limiter that a step asks before each call.
//! * [`clock`]: Slack's time, which runs faster on a local stack.
//!
//! The Slack client decides which quotas apply to a call: see [`apgl_slack::quotas`].
//! `docs/decisions/0008-rate-limits.md` explains why calls are reserved.

pub mod clock;
pub mod gcra;
pub mod limiter;
pub mod table;

pub use clock::SlackClock;
pub use limiter::{SharedLimiter, StepLimiter};
pub use table::RateLimits;

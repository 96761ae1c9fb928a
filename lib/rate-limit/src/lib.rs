//! Shares Slack's rate limits among all executions that call Slack at the same time.
//!
//! * [`gcra`]: the algorithm, as pure arithmetic on the state of one quota.
//! * [`table`]: the DynamoDB table with that state and the reservations of waiting calls.
//! * [`shared`]: the rate limiter that all executions share.
//! * [`limiter`]: the same, for one invocation of a step, which asks it before each call.
//! * [`clock`]: Slack's time, which runs faster on a local stack.
//!
//! The Slack client decides which quotas apply to a call: see [`apgl_slack::quotas`].
//! `docs/decisions/0008-rate-limits.md` explains why calls are reserved.

pub mod clock;
pub mod gcra;
pub mod limiter;
pub mod shared;
pub mod table;

pub use clock::SlackClock;
pub use limiter::StepLimiter;
pub use shared::SharedLimiter;
pub use table::RateLimits;

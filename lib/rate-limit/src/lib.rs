//! Slack's rate limits, shared by everything that calls Slack at the same time.
//!
//! * [`gcra`]: the algorithm, as arithmetic on the state of one quota.
//! * [`table`]: that state, and the reservations of calls that wait, in DynamoDB.
//! * [`limiter`]: what a step asks before each call.
//! * [`clock`]: Slack's time, which runs faster on a local stack.
//!
//! Which call falls under which quota is the Slack client's knowledge: [`apgl_slack::quotas`].
//! `docs/decisions/0008-rate-limits.md` says why calls are reserved.

pub mod clock;
pub mod gcra;
pub mod limiter;
pub mod table;

pub use clock::SlackClock;
pub use limiter::{SharedLimiter, StepLimiter};
pub use table::RateLimits;

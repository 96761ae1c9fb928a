//! Tests of what all executions share, such as the token and the metrics: each has the whole stack to itself, one
//! after the other.

mod lost_answer;
mod metrics;
mod people;
mod scan;
mod stale_channel;
mod token;

//! Tests of things that all executions share, such as the token and the metrics. They run one after another, each
//! with the whole stack to itself.

mod changed_channels;
mod lost_answer;
mod metrics;
mod people;
mod scan;
mod stale_channel;
mod token;

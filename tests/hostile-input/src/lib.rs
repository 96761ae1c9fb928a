//! Strategies for proptest: input as an attacker or a broken caller could send it.
//!
//! Any text may contain something confidential that must not appear in an error or a log. [`leaks`] detects it.
//!
//! Each run tries different inputs. For a longer run: `PROPTEST_CASES=100000 cargo test -p apgl-contract`.

#[cfg(feature = "callers")]
mod callers;
mod json;
mod logs;
mod text;

#[cfg(feature = "callers")]
pub use callers::{client, counting_client, run};
pub use json::{anything, mutated, nested};
pub use logs::logged;
pub use text::{leaks, markup, text};

use proptest::test_runner::Config;

/// Proptest's defaults, except that a failure is only printed and not saved to a file.
pub fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}

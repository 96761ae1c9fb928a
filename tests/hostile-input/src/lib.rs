//! What an attacker or a broken caller sends, as strategies for tests with proptest.
//!
//! Every text may hold something that is not to be seen in an error or a log: [`leaks`] finds it.
//!
//! Each run tries other inputs. To look for longer: `PROPTEST_CASES=100000 cargo test -p apgl-contract`.

#[cfg(feature = "callers")]
mod callers;
mod json;
mod logs;
mod text;

#[cfg(feature = "callers")]
pub use callers::{client, run};
pub use json::{anything, mutated, nested};
pub use logs::logged;
pub use text::{leaks, markup, text};

use proptest::test_runner::Config;

/// Proptest's own settings, but that a failure is printed and not kept in a file.
pub fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}

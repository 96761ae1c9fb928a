//! Everything that a function's `main.rs` needs: logs, settings, clients and the run loop.

#[cfg(feature = "sqs")]
pub mod batch;
mod logs;
mod run;
#[cfg(feature = "slack")]
mod slack;

pub use apgl_aws::{SettingError, config_from_env as aws_config, flag, optional_setting, setting};
pub use run::{SetupError, run, serve};
#[cfg(feature = "slack")]
pub use slack::{SecretToken, run_slack_step, slack_client};

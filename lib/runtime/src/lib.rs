//! What every function's `main.rs` needs, and nothing more: logs, settings, clients, the run loop.

mod logs;
#[cfg(feature = "slack")]
mod pacing;
mod run;
mod settings;
#[cfg(feature = "slack")]
mod slack;

pub use apgl_aws::config_from_env as aws_config;
pub use run::{StartError, run, run_decoding, serve};
pub use settings::{SettingError, flag, setting};
#[cfg(feature = "slack")]
pub use slack::{SecretToken, slack_client};

//! AWS client configuration over the workspace's one HTTP client, and the sorting of AWS errors.
//!
//! `aws-config` is left out: a Lambda finds its region and its credentials in the environment, for
//! as long as the environment lives, and the chain of other providers only costs start-up time.

mod config;
mod error;
mod http;
mod settings;

pub use config::{ConfigError, config, config_from_env, http_client};
pub use error::{Refusal, step_error};
pub use settings::{SettingError, flag, optional_setting, setting};

/// The CloudWatch namespace of what the functions publish. Their roles allow no other.
pub const METRICS_NAMESPACE: &str = "APGL/Notifications";

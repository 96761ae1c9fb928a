//! AWS client configuration with the workspace's shared HTTP client, and the classification of AWS errors.
//!
//! This crate does not use `aws-config`: a Lambda function finds its region and credentials in environment
//! variables, which stay valid while its environment lives. The chain of other providers would only add start-up
//! time.

mod config;
mod error;
mod http;
mod settings;

pub use config::{ConfigError, config, config_from_env, http_client};
pub use error::{AwsError, entry_error, step_error};
pub use settings::{SettingError, flag, optional_setting, seconds, setting};

/// The CloudWatch namespace of the functions' metrics. Their roles allow no other.
pub const METRICS_NAMESPACE: &str = "APGL/Notifications";

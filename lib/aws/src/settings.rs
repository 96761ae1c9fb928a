//! Settings are read from environment variables, once, when the function starts. If one is missing or invalid,
//! the function does not start and logs its name.

use std::{env, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("environment variable {0} is not set")]
    Missing(&'static str),
    #[error("environment variable {name} {rule}")]
    Bad {
        name: &'static str,
        rule: &'static str,
    },
}

/// The value of a required environment variable, which must not be empty.
pub fn setting(name: &'static str) -> Result<String, SettingError> {
    optional_setting(name).ok_or(SettingError::Missing(name))
}

/// The value of an optional environment variable.
pub fn optional_setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of an environment variable that must be `true` or `false`.
pub fn flag(name: &'static str) -> Result<bool, SettingError> {
    parsed_flag(name, &setting(name)?)
}

fn parsed_flag(name: &'static str, value: &str) -> Result<bool, SettingError> {
    value.parse().map_err(|_| SettingError::Bad {
        name,
        rule: "must be true or false",
    })
}

/// The value of an environment variable that must be a whole number of seconds.
pub fn seconds(name: &'static str) -> Result<Duration, SettingError> {
    parsed_seconds(name, &setting(name)?)
}

fn parsed_seconds(name: &'static str, value: &str) -> Result<Duration, SettingError> {
    let seconds = value.parse::<u32>().map_err(|_| SettingError::Bad {
        name,
        rule: "must be a whole number of seconds",
    })?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named() {
        let error = setting("APGL_NO_SUCH_SETTING").unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable APGL_NO_SUCH_SETTING is not set"
        );
    }

    #[test]
    fn a_flag_is_true_or_false() {
        assert_eq!(parsed_flag("F", "true"), Ok(true));
        assert_eq!(parsed_flag("F", "false"), Ok(false));
        assert!(parsed_flag("F", "yes").is_err());
    }

    #[test]
    fn a_duration_is_a_whole_number_of_seconds() {
        assert_eq!(parsed_seconds("S", "900"), Ok(Duration::from_mins(15)));
        assert_eq!(parsed_seconds("S", "0"), Ok(Duration::ZERO));
        for bad in ["15m", "-1", "1.5", "4294967296"] {
            assert!(parsed_seconds("S", bad).is_err(), "{bad}");
        }
    }
}

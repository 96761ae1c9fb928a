use std::fmt;

use sha2::{Digest, Sha256};

/// Step Functions' limit for the name of an execution.
const MAX_NAME: usize = 80;
/// The length of the hash in hexadecimal digits, and of the hyphen before it.
const HASH_PART: usize = 65;

/// The name of an execution: `<prefix>-<sha256 of the key>`. It does not contain the key itself, because names are
/// visible in the console and in logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionName(String);

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    #[error("the idempotency key must not be empty")]
    EmptyKey,
    /// The prefix, which says who started the execution, is invalid.
    #[error("must be 1 to {} letters, digits, hyphens and underscores", MAX_NAME - HASH_PART)]
    Prefix,
}

impl ExecutionName {
    /// The name for an event. `prefix` shows the kind of event in a list of executions, and `key` distinguishes the
    /// event from all others.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn from_key(prefix: &str, key: &str) -> Result<Self, NameError> {
        check_prefix(prefix)?;
        if key.is_empty() {
            return Err(NameError::EmptyKey);
        }
        let hash = base16ct::lower::encode_string(&Sha256::digest(key));
        Ok(Self(format!("{prefix}-{hash}")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that `prefix` can start a name.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), NameError> {
    let may_stand_in_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let fits = (1..=MAX_NAME - HASH_PART).contains(&prefix.len());
    if fits && prefix.bytes().all(may_stand_in_a_name) {
        Ok(())
    } else {
        Err(NameError::Prefix)
    }
}

impl fmt::Display for ExecutionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_name_is_made_from_the_key_alone_and_does_not_show_it() {
        let name = ExecutionName::from_key("mpc-event", "ana@example.com").unwrap();
        assert_eq!(
            name.as_str(),
            "mpc-event-8e43ca37701228e74983efdbd0cff5c16b3b1e5d4e29a7c05626d4d25a018e11"
        );
        assert_eq!(
            ExecutionName::from_key("mpc-event", "ana@example.com"),
            Ok(name)
        );
    }

    #[test]
    fn the_longest_prefix_makes_the_longest_name() {
        let name = ExecutionName::from_key(&"p".repeat(15), "key").unwrap();
        assert_eq!(name.as_str().len(), 80);
    }

    #[rstest]
    #[case("", "key", NameError::Prefix)]
    #[case("a b", "key", NameError::Prefix)]
    #[case("a:b", "key", NameError::Prefix)]
    #[case("0123456789abcdef", "key", NameError::Prefix)]
    #[case("apgl", "", NameError::EmptyKey)]
    fn an_invalid_name_is_rejected(
        #[case] prefix: &str,
        #[case] key: &str,
        #[case] expected: NameError,
    ) {
        assert_eq!(ExecutionName::from_key(prefix, key), Err(expected));
    }
}

//! The errors of a Slack call, classified by what the caller can do about them.
//!
//! The classes follow Slack's documentation. Slack may add error codes at any time. A code that is not listed here
//! counts as permanent, so only errors that are known to be transient are retried.

use std::time::Duration;

use apgl_contract::StepError;

use crate::token::NoToken;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    /// The call had no effect. Call again after `retry_after`.
    #[error("Slack limits {method}: call again after {} s", retry_after.as_secs())]
    RateLimited {
        method: &'static str,
        retry_after: Duration,
        /// See [`Wait::is_certain`](crate::quotas::Wait::is_certain).
        is_certain: bool,
    },
    /// The call was not made: so many calls are waiting that it would be made too late.
    #[error("the queue for {method} is {} s long", wait.as_secs())]
    QueueTooLong {
        method: &'static str,
        wait: Duration,
    },
    /// The call was not made: its time limit had passed. Calling again later does not help.
    #[error(
        "{method} may not be called any more: its time limit had passed when the call was about to be sent"
    )]
    TooLate { method: &'static str },
    /// Transient. The call had no effect.
    #[error("Slack is unavailable for {method}: {reason}")]
    Unavailable {
        method: &'static str,
        reason: String,
    },
    /// Transient, but the call may have had its effect.
    #[error("the outcome of {method} is unknown: {reason}")]
    OutcomeUnknown {
        method: &'static str,
        reason: String,
    },
    /// The token, its scopes or the workspace's policy does not allow the call. An operator must act.
    #[error("Slack does not accept the token for {method}: {code}")]
    Unauthorized {
        method: &'static str,
        code: String,
        scopes: Option<String>,
    },
    /// Permanent.
    #[error("Slack refused {method}: {code}")]
    Rejected {
        method: &'static str,
        code: String,
        /// What Slack says beside the code, for example which block is invalid.
        detail: Option<String>,
    },
    /// Slack was not called.
    #[error(transparent)]
    NoToken(#[from] NoToken),
}

impl SlackError {
    /// Slack's error code, if Slack refused the call permanently.
    pub fn rejected_code(&self) -> Option<&str> {
        match self {
            Self::Rejected { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Classifies an error code that Slack returned for `method`.
    pub(crate) fn from_code(
        method: &'static str,
        code: &str,
        retry_after: Duration,
        scopes: Option<String>,
    ) -> Self {
        match code {
            "ratelimited" | "rate_limited" => Self::RateLimited {
                method,
                retry_after,
                is_certain: false,
            },
            "service_unavailable" | "request_timeout" | "team_added_to_org"
            // conversations.members: Slack could not read the list; this is transient.
            | "fetch_members_failed" => Self::Unavailable { method, reason: code.to_owned() },
            "internal_error" | "fatal_error" => {
                Self::OutcomeUnknown { method, reason: code.to_owned() }
            }
            "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive"
            | "missing_scope" | "not_allowed_token_type" | "no_permission" | "access_denied"
            | "accesslimited" | "ekm_access_denied" | "enterprise_is_restricted"
            | "org_login_required" | "two_factor_setup_required" | "is_bot" => {
                Self::Unauthorized { method, code: code.to_owned(), scopes }
            }
            _ => Self::Rejected { method, code: safe_code(code), detail: None },
        }
    }

    /// Adds what Slack says beside the code of a permanent refusal.
    pub(crate) fn with_detail(mut self, told: Option<String>) -> Self {
        if let Self::Rejected { detail, .. } = &mut self {
            *detail = told;
        }
        self
    }

    /// Whether Slack refused how the call was made: no caller and nobody in Slack can fix that, only another version of
    /// this code.
    pub fn is_about_the_call(&self) -> bool {
        matches!(
            self.rejected_code(),
            Some(
                "invalid_arg_name"
                    | "invalid_arguments"
                    | "invalid_array_arg"
                    | "invalid_charset"
                    | "invalid_form_data"
                    | "invalid_metadata_format"
                    | "invalid_metadata_schema"
                    | "metadata_too_large"
                    | "invalid_post_type"
                    | "missing_post_type"
                    | "unknown_method"
                    | "method_deprecated"
                    | "deprecated_endpoint"
            )
        )
    }

    /// The one refusal that all these calls about different users or addresses got, if there are at least two. Slack may
    /// add codes at any time: a code that is not documented counts as being about the user, unless all get it.
    pub fn of_all(mut refusals: Vec<Self>) -> Option<Self> {
        let last = refusals.pop()?;
        refusals.first()?;
        let code = last.rejected_code()?;
        let is_the_same = |refusal: &Self| refusal.rejected_code() == Some(code);
        refusals.iter().all(is_the_same).then_some(last)
    }

    /// Whether a new token may help. It does not help against a missing scope or a workspace's policy.
    pub(crate) fn is_about_the_token(&self) -> bool {
        matches!(self, Self::Unauthorized { code, .. } if matches!(code.as_str(),
            "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive"))
    }
}

/// What Slack says about invalid blocks, without what could quote the request: each message names its rule, and the
/// place in the blocks.
///
/// Slack's messages look like `[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]`. What
/// follows a colon can be a value of the request; only the name of a missing field is Slack's own.
pub(crate) fn safe_detail(messages: &[String]) -> Option<String> {
    let safe = messages.iter().filter_map(|message| safe_message(message));
    let safe: Vec<String> = safe.take(MOST_MESSAGES).collect();
    (!safe.is_empty()).then(|| safe.join("; "))
}

const MOST_MESSAGES: usize = 5;
const LONGEST_RULE: usize = 80;
const LONGEST_PLACE: usize = 120;

fn safe_message(message: &str) -> Option<String> {
    let (rule, place) = message
        .strip_prefix("[ERROR] ")?
        .strip_suffix(']')?
        .rsplit_once(" [json-pointer:")?;
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_name = |name: &str| !name.is_empty() && name.chars().all(is_word);
    let rule = match rule.split_once(": ") {
        Some(("missing required field", field)) if is_name(field) => rule,
        Some((rule, _)) => rule,
        None => rule,
    };
    let is_of_a_rule = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | ':');
    let is_rule = !rule.is_empty() && rule.len() <= LONGEST_RULE && rule.chars().all(is_of_a_rule);
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = place.strip_prefix('/')?.split('/');
    let is_place =
        place.len() <= LONGEST_PLACE && parts.all(|part| is_name(part) || is_index(part));
    (is_rule && is_place).then(|| format!("{rule} at {place}"))
}

/// Slack's error codes are short words. Any other text is replaced, because it could quote the request.
fn safe_code(code: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !code.is_empty() && code.len() <= 80 && code.chars().all(is_word) {
        code.to_owned()
    } else {
        "unreadable_error_code".to_owned()
    }
}

/// Scopes are words such as `chat:write`, separated by commas. Any other text is replaced.
pub(crate) fn safe_scopes(scopes: &str) -> &str {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-');
    let mut words = scopes.split(',').map(|scope| scope.trim_matches(' '));
    if scopes.len() <= 2_000 && words.all(|word| word.chars().all(is_of_a_word)) {
        scopes
    } else {
        "unreadable scopes"
    }
}

/// For calls that are safe to repeat and have no time limit. A post is not safe to repeat and can have one, so
/// `post-message` handles [`SlackError::OutcomeUnknown`] and [`SlackError::TooLate`] itself.
impl From<SlackError> for StepError {
    fn from(error: SlackError) -> Self {
        if let SlackError::Rejected { detail, .. } = &error
            && error.is_about_the_call()
        {
            let detail = detail.iter().map(|detail| format!(" ({detail})"));
            let what = format!("{error}{}", detail.collect::<String>()).into();
            return Self::StepBug { what };
        }
        match error {
            SlackError::RateLimited {
                method,
                retry_after,
                is_certain,
            } => Self::SlackRateLimited {
                method,
                retry_after,
                is_certain,
            },
            SlackError::QueueTooLong { method, wait } => Self::SlackQueueTooLong { method, wait },
            SlackError::TooLate { .. } => Self::StepBug {
                what: error.to_string().into(),
            },
            SlackError::Unavailable { method, reason }
            | SlackError::OutcomeUnknown { method, reason } => {
                Self::SlackUnavailable { method, reason }
            }
            SlackError::Unauthorized {
                method,
                code,
                scopes,
            } => Self::SlackUnauthorized {
                method,
                code,
                scopes,
            },
            SlackError::Rejected {
                method,
                code,
                detail,
            } => Self::SlackRejected {
                method,
                code,
                detail,
            },
            SlackError::NoToken(error) => error.into(),
        }
    }
}

impl From<NoToken> for StepError {
    fn from(error: NoToken) -> Self {
        let NoToken {
            store,
            operation,
            reason,
            is_transient,
        } = error;
        if is_transient {
            return Self::StoreUnavailable {
                store,
                operation,
                reason,
            };
        }
        Self::StoreRejected {
            store,
            operation,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use apgl_contract::{ErrorName, Origin, Recovery};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        Some("must be less than 3001 characters at /blocks/0/text/text")
    )]
    #[case(
        "[ERROR] missing required field: text [json-pointer:/blocks/0]",
        Some("missing required field: text at /blocks/0")
    )]
    #[case(
        "[ERROR] unsupported type: classified [json-pointer:/blocks/0/type]",
        Some("unsupported type at /blocks/0/type")
    )]
    #[case(
        "[ERROR] missing required field: A plan [json-pointer:/blocks/0]",
        Some("missing required field at /blocks/0")
    )]
    #[case("[ERROR] the \"plan\" is invalid [json-pointer:/blocks/0]", None)]
    #[case("[ERROR] is invalid [json-pointer:/blocks/A plan]", None)]
    #[case("[ERROR] is invalid [json-pointer:]", None)]
    #[case("[WARN] A Content-Type HTTP header was presented", None)]
    #[case("the plan", None)]
    fn slacks_reason_is_kept_without_what_could_quote_the_request(
        #[case] message: &str,
        #[case] detail: Option<&str>,
    ) {
        assert_eq!(safe_detail(&[message.to_owned()]).as_deref(), detail);
    }

    #[rstest]
    #[case("invalid_form_data", Origin::System)]
    #[case("unknown_method", Origin::System)]
    #[case("invalid_metadata_schema", Origin::System)]
    #[case("restricted_action", Origin::Outside)]
    #[case("a_code_of_tomorrow", Origin::Outside)]
    fn a_call_that_slack_cannot_read_is_our_bug(#[case] code: &str, #[case] origin: Origin) {
        let error = SlackError::from_code("chat.postMessage", code, Duration::ZERO, None);
        let error = StepError::from(error);
        assert_eq!(error.name().origin(), origin);
        assert!(error.to_string().contains(code), "{error}");
        // Once it is fixed, a redrive delivers.
        assert_eq!(error.name().recovery(), Recovery::Redrive);
    }

    #[test]
    fn a_step_that_does_not_handle_its_time_limit_has_a_bug() {
        let error = StepError::from(SlackError::TooLate {
            method: "chat.postMessage",
        });
        assert_eq!(error.name(), ErrorName::StepBug);
        assert_eq!(
            error.to_string(),
            "this is a bug of the step: chat.postMessage may not be called any more: its time limit had passed when the \
             call was about to be sent"
        );
    }

    #[test]
    fn slacks_reasons_are_bounded() {
        let message = format!("[ERROR] {} [json-pointer:/blocks/0]", "a".repeat(80));
        let detail = safe_detail(&vec![message; 1_000]).unwrap();
        assert_eq!(detail.split("; ").count(), 5);
        assert!(detail.len() < 600);
        let message = format!("[ERROR] {} [json-pointer:/blocks/0]", "a".repeat(81));
        assert_eq!(safe_detail(&[message]), None);
    }
}

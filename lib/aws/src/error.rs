use apgl_contract::StepError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The error codes of temporary problems. Only these are retried; anything else needs a person.
///
/// Source: "Error handling with DynamoDB", "Secrets Manager API: common errors", "Step Functions API: common errors",
/// "`SendMessage`" (SQS) and "`PutEventsResultEntry`" (`EventBridge`), AWS.
const TRANSIENT: [&str; 13] = [
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

const NO_CODE: &str = "no error code";

/// Why an AWS call failed, after the SDK's own retries: AWS's error code, or our description of what happened.
/// AWS's message is left out, because it may quote a key or the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsError {
    /// The problem is temporary. A call that is safe to repeat may be repeated.
    Transient(String),
    /// A person must act.
    Permanent(String),
}

impl AwsError {
    pub fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        let transient = |reason: &str| Self::Transient(reason.to_owned());
        match error {
            SdkError::TimeoutError(_) => transient("no answer in time"),
            SdkError::DispatchFailure(failure) if !failure.is_user() => {
                transient("no connection, or the connection broke")
            }
            SdkError::ResponseError(_) => transient("the response was unreadable"),
            SdkError::ServiceError(error) => {
                let status = error.raw().status().as_u16();
                let code = error.err().code().unwrap_or(NO_CODE);
                if status >= 500 || status == 429 {
                    return transient(code);
                }
                Self::of_code(code)
            }
            _ => Self::Permanent("the request could not be built".to_owned()),
        }
    }

    fn of_code(code: &str) -> Self {
        if TRANSIENT.contains(&code) {
            Self::Transient(code.to_owned())
        } else {
            Self::Permanent(code.to_owned())
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Transient(reason) | Self::Permanent(reason) => reason,
        }
    }
}

/// Classifies an AWS error as `Store.Unavailable` (temporary) or `Store.Rejected` (an operator must act).
pub fn step_error<E: ProvideErrorMetadata>(
    store: &str,
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> StepError {
    as_step_error(store, operation, AwsError::of(error))
}

/// Classifies the error code of an entry that failed although the call succeeded, like [`step_error`].
pub fn entry_error(store: &str, operation: &'static str, code: Option<&str>) -> StepError {
    as_step_error(store, operation, AwsError::of_code(code.unwrap_or(NO_CODE)))
}

fn as_step_error(store: &str, operation: &'static str, error: AwsError) -> StepError {
    let store = store.to_owned();
    match error {
        AwsError::Transient(reason) => StepError::StoreUnavailable {
            store,
            operation,
            reason,
        },
        AwsError::Permanent(reason) => StepError::StoreRejected {
            store,
            operation,
            reason,
        },
    }
}

#[cfg(test)]
mod tests {
    use apgl_contract::ErrorName;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(400, "ThrottlingException", ErrorName::StoreUnavailable)]
    #[case(
        400,
        "ProvisionedThroughputExceededException",
        ErrorName::StoreUnavailable
    )]
    #[case(503, "SomethingNew", ErrorName::StoreUnavailable)]
    #[case(429, "SomethingNew", ErrorName::StoreUnavailable)]
    #[case(400, "AccessDeniedException", ErrorName::StoreRejected)]
    #[case(400, "ResourceNotFoundException", ErrorName::StoreRejected)]
    fn only_a_transient_error_is_unavailable(
        #[case] status: u16,
        #[case] code: &str,
        #[case] expected: ErrorName,
    ) {
        let metadata = ErrorMetadata::builder()
            .code(code)
            .message("key ana@example.com")
            .build();
        let status = StatusCode::try_from(status).expect("a valid status");
        let response = HttpResponse::new(status, SdkBody::empty());
        let error = step_error(
            "table",
            "GetItem",
            &SdkError::service_error(metadata, response),
        );
        assert_eq!(error.name(), expected);
        assert!(!format!("{error:?}").contains("ana@"));
    }

    #[rstest]
    #[case(Some("InternalFailure"), ErrorName::StoreUnavailable)]
    #[case(Some("ThrottlingException"), ErrorName::StoreUnavailable)]
    #[case(Some("NotAuthorizedForSourceException"), ErrorName::StoreRejected)]
    #[case(None, ErrorName::StoreRejected)]
    fn an_entry_that_failed_is_classified_by_its_code(
        #[case] code: Option<&str>,
        #[case] expected: ErrorName,
    ) {
        let error = entry_error("EventBridge", "PutEvents", code);
        assert_eq!(error.name(), expected);
    }
}

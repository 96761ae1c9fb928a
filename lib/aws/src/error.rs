use apgl_contract::StepError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What passes by itself. Retrying is an allow-list: anything else needs a person.
///
/// Source: "Error handling with DynamoDB" and "Secrets Manager API: common errors", AWS.
const PASSING: [&str; 9] = [
    "InternalServerError",
    "InternalServiceError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Throttling",
    "ThrottlingException",
];

/// Sorts an AWS error, after the SDK's own retries, into `Store.Unavailable` (it passes by itself)
/// or `Store.Rejected` (an operator must act). AWS's message is left out: it may quote a key.
pub fn step_error<E: ProvideErrorMetadata>(
    store: &str,
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> StepError {
    let store = store.to_owned();
    let unavailable = |reason: &str| StepError::StoreUnavailable {
        store: store.clone(),
        operation,
        reason: reason.to_owned(),
    };
    match error {
        SdkError::TimeoutError(_) => unavailable("no answer in time"),
        SdkError::DispatchFailure(_) => unavailable("no connection"),
        SdkError::ResponseError(_) => unavailable("the answer was not readable"),
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            let code = refusal.err().code().unwrap_or("no error code");
            if status >= 500 || status == 429 || PASSING.contains(&code) {
                return unavailable(code);
            }
            let reason = code.to_owned();
            StepError::StoreRejected {
                store,
                operation,
                reason,
            }
        }
        _ => StepError::StoreRejected {
            store,
            operation,
            reason: "the request could not be built".to_owned(),
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
    fn only_what_passes_by_itself_is_unavailable(
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
}

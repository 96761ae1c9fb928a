//! Lambda's concurrency: whether the account has enough of it.

use aws_sdk_lambda::types::AccountLimit;

use super::finding::Finding;
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

/// Lambda's own default is 1,000, but a new account can have 10 (docs/limits.md).
const ENOUGH: i32 = 100;

pub(super) async fn check(deployment: &Deployment) -> Result<Finding, Failure> {
    let lambda = aws_sdk_lambda::Client::new(&deployment.aws);
    let settings = lambda.get_account_settings().send().await;
    let settings = settings.map_err(|error| refused("GetAccountSettings", &error))?;
    let limit = settings.account_limit();
    // Our functions share what other functions have not reserved.
    let unreserved = limit.and_then(AccountLimit::unreserved_concurrent_executions);
    Ok(finding(unreserved))
}

fn finding(unreserved: Option<i32>) -> Finding {
    match unreserved {
        Some(count) if count >= ENOUGH => {
            Finding::good(format!("Lambda concurrency: {count} invocations at once"))
        }
        Some(count) => Finding::warning(
            format!(
                "Lambda concurrency: only {count} invocations at once in this account and region"
            ),
            "request an increase of the quota \"Concurrent executions\" of AWS Lambda: above it, steps are \
             retried for about two minutes, and then their executions fail",
        ),
        None => Finding::warning(
            "Lambda concurrency: Lambda does not say how much there is",
            "see the quota \"Concurrent executions\" of AWS Lambda in Service Quotas",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::finding::Verdict;

    #[rstest]
    #[case::a_new_account(Some(10), Verdict::Warning)]
    #[case::too_little(Some(99), Verdict::Warning)]
    #[case::enough(Some(100), Verdict::Good)]
    #[case::the_default(Some(1_000), Verdict::Good)]
    #[case::unknown(None, Verdict::Warning)]
    fn an_account_with_little_concurrency_is_reported(
        #[case] unreserved: Option<i32>,
        #[case] verdict: Verdict,
    ) {
        assert_eq!(finding(unreserved).verdict, verdict);
    }
}

//! A stack's status, and its outputs.

use aws_sdk_cloudformation::types::Stack;

use super::finding::Finding;
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

pub(super) async fn find(deployment: &Deployment, name: &str) -> Result<Option<Stack>, Failure> {
    let name = format!("{}-{name}", deployment.prefix);
    let cloudformation = aws_sdk_cloudformation::Client::new(&deployment.aws);
    let described = cloudformation.describe_stacks().stack_name(name);
    match described.send().await {
        Ok(described) => Ok(described.stacks.unwrap_or_default().pop()),
        // CloudFormation has no specific error for a stack that does not exist.
        Err(error)
            if error.as_service_error().is_some_and(|error| {
                let message = error.meta().message().unwrap_or_default();
                message.contains("does not exist")
            }) =>
        {
            Ok(None)
        }
        Err(error) => Err(refused("DescribeStacks", &error)),
    }
}

pub(super) fn check(stack: &Stack) -> Finding {
    let name = stack.stack_name().unwrap_or_default();
    let status = stack
        .stack_status()
        .map_or("unknown", |status| status.as_str());
    let what = format!("stack {name}: {status}");
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" => Finding::good(what),
        "UPDATE_ROLLBACK_COMPLETE" => Finding::warning(
            what,
            "the last deployment was rolled back: see its events in CloudFormation, then deploy again",
        ),
        _ if status.ends_with("IN_PROGRESS") => Finding::warning(
            what,
            "a deployment is in progress: check again when it is finished",
        ),
        _ => Finding::bad(
            what,
            "see the stack's events in CloudFormation, fix the cause, then deploy again",
        ),
    }
}

/// The value of one of the stack's outputs.
pub(super) fn output<'a>(stack: &'a Stack, key: &str) -> Option<&'a str> {
    let outputs = stack.outputs().iter();
    let mut found = outputs.filter(|output| output.output_key() == Some(key));
    found.next()?.output_value()
}

impl Deployment {
    /// The rate-limits table, if the deployment has one.
    pub async fn rate_limits_table(&self) -> Result<Option<String>, Failure> {
        self.table("RateLimitsTableName").await
    }

    /// The table that the stack names, or else the default name.
    pub async fn user_profiles_table(&self) -> Result<String, Failure> {
        let named = self.table("UserProfilesTableName").await?;
        Ok(named.unwrap_or_else(|| format!("{}-user-profiles", self.prefix)))
    }

    /// The table that the stack's output with this key names.
    async fn table(&self, key: &str) -> Result<Option<String>, Failure> {
        let stack = find(self, "notifications").await?;
        let named = stack.as_ref().and_then(|stack| output(stack, key));
        Ok(named.map(str::to_owned))
    }
}

//! The deployment that a command works on: its AWS configuration, state machines and executions.

use std::{collections::HashMap, time::Duration};

use apgl_aws::AwsError;
use apgl_client::{Client, FindError, Operation, StateMachines};
use aws_config::{
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationError;
use aws_sdk_sfn::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        describe_execution::DescribeExecutionOutput,
        describe_state_machine_alias::DescribeStateMachineAliasError,
    },
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion, orchestrator::HttpResponse,
};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::{SdkConfig, region::Region};

use crate::report::{Exit, Failure};

/// The prefix of the names of executions that the command line starts.
const CALLER: &str = "cli";
/// The alias with which callers start each state machine, as the CDK app names it.
const LIVE: &str = "live";
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// The deployment's prefix, which starts all its names.
    #[arg(long, global = true, env = "APGL_PREFIX", default_value = "apgl", value_parser = prefix)]
    pub prefix: String,
    /// The AWS profile.
    #[arg(long, global = true)]
    profile: Option<String>,
    /// The AWS region.
    #[arg(long, global = true)]
    region: Option<String>,
}

/// The same rule as in the CDK app.
fn prefix(text: &str) -> Result<String, &'static str> {
    let fits = (1..=20).contains(&text.len());
    let starts_with_a_letter = text.starts_with(|c: char| c.is_ascii_lowercase());
    let fitting = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    if fits && starts_with_a_letter && text.chars().all(fitting) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 20 lower-case letters, digits and hyphens, and start with a letter")
}

/// A deployment in an account and a region.
#[derive(Debug)]
pub struct Deployment {
    pub aws: SdkConfig,
    pub prefix: String,
    pub sfn: aws_sdk_sfn::Client,
}

impl Deployment {
    /// # Errors
    /// If there is no region or there are no credentials. The deployment itself is not accessed yet.
    pub async fn of(target: &Target) -> Result<Self, Failure> {
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let http = apgl_aws::http_client().map_err(Failure::input)?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .timeout_config(timeouts);
        if let Some(profile) = &target.profile {
            // A profile on the command line takes precedence over the environment.
            let config = ProviderConfig::without_region().with_http_client(http);
            let credentials = ProfileFileCredentialsProvider::builder()
                .configure(&config)
                .profile_name(profile);
            let region = ProfileFileRegionProvider::builder().profile_name(profile);
            loader = loader
                .profile_name(profile)
                .credentials_provider(credentials.build())
                .region(region.build());
        }
        if let Some(region) = &target.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let aws = loader.load().await;
        if let (Some(profile), None) = (&target.profile, aws.region()) {
            return Err(Failure::input(format!(
                "there is no AWS profile {profile} with a region: choose another, or add --region"
            )));
        }
        if aws.region().is_none() {
            return Err(Failure::aws(
                "no AWS region is known: set AWS_REGION, or give --region or --profile",
            ));
        }
        let no_credentials = || match &target.profile {
            Some(profile) => Failure::aws(format!(
                "the AWS profile {profile} gives no credentials: sign in, for example with \
                 `aws sso login --profile {profile}`"
            )),
            None => Failure::aws(
                "no AWS credentials are known: sign in, for example with `aws sso login`, \
                 or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ),
        };
        let credentials = aws.credentials_provider().ok_or_else(no_credentials)?;
        let credentials = credentials.provide_credentials().await;
        credentials.map_err(|_| no_credentials())?;
        Ok(Self {
            sfn: aws_sdk_sfn::Client::new(&aws),
            prefix: target.prefix.clone(),
            aws,
        })
    }

    /// The state machines with the deployment's prefix.
    pub async fn state_machines(&self) -> Result<StateMachines, Failure> {
        let found = StateMachines::find(&self.sfn, &self.prefix).await;
        found.map_err(|error| match error {
            FindError::NoneThere { .. } => Failure::aws(format!(
                "{error}: give another --prefix, --region or --profile"
            )),
            error => Failure::aws(error),
        })
    }

    /// Which deployment this is, in words: its prefix, account and region.
    pub async fn place(&self) -> Result<String, Failure> {
        let machines = self.state_machines().await?;
        let first = machines.iter().next().map(|(_, machine)| machine.as_str());
        Ok(place(&self.prefix, first.unwrap_or_default()))
    }

    /// A client that starts the workflows with the alias that releases shift, like every caller.
    pub async fn client(&self) -> Result<Client, Failure> {
        let mut machines = self.state_machines().await?;
        let first = machines
            .iter()
            .next()
            .map(|(_, machine)| machine.to_string());
        if self.has_alias(&first.unwrap_or_default()).await? {
            machines = machines.by_alias(LIVE).unwrap_or_default();
        }
        Client::new(self.sfn.clone(), machines, CALLER).map_err(Failure::input)
    }

    /// The local stack has no state machine aliases.
    async fn has_alias(&self, machine: &str) -> Result<bool, Failure> {
        let alias = format!("{machine}:{LIVE}");
        let described = self
            .sfn
            .describe_state_machine_alias()
            .state_machine_alias_arn(alias);
        match described.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeStateMachineAliasError::is_resource_not_found) =>
            {
                Ok(false)
            }
            Err(error) => Err(refused("DescribeStateMachineAlias", &error)),
        }
    }

    /// The environment variables of a step's function.
    pub async fn environment_of(&self, step: &str) -> Result<HashMap<String, String>, Failure> {
        let lambda = aws_sdk_lambda::Client::new(&self.aws);
        let function = format!("{}-{step}", self.prefix);
        let configured = lambda.get_function_configuration();
        let configured = configured.function_name(&function).send().await;
        let configured = configured.map_err(|error| {
            let error_of_lambda = error.as_service_error();
            if error_of_lambda.is_some_and(GetFunctionConfigurationError::is_resource_not_found_exception) {
                return Failure::aws(format!(
                    "there is no function {function} in this account and region: deploy it, or choose another \
                     --prefix, --region or --profile"
                ));
            }
            refused("GetFunctionConfiguration", &error)
        })?;
        let environment = configured.environment.and_then(|set| set.variables);
        Ok(environment.unwrap_or_default())
    }

    /// Finds an execution by its ARN, its URL in the console, or its name.
    pub async fn find_execution(&self, named: &str) -> Result<DescribeExecutionOutput, Failure> {
        if let Some(arn) = arn_in(named) {
            let described = self.describe(&arn).await?;
            return described.ok_or_else(|| no_such_execution(named));
        }
        if named.is_empty() || named.len() > 80 || named.contains([':', '/', ' ']) {
            return Err(Failure::input(format!(
                "`{named}` is neither the ARN nor the name of an execution"
            )));
        }
        let machines = self.state_machines().await?;
        let mut found = Vec::new();
        for (_, machine) in machines.iter() {
            found.extend(self.describe(&machine.execution(named)).await?);
        }
        // Names are unique within a workflow, but the same key may have been used for two workflows.
        if found.len() > 1 {
            let arns: Vec<&str> = found
                .iter()
                .map(DescribeExecutionOutput::execution_arn)
                .collect();
            return Err(Failure::input(format!(
                "{} executions have this name; choose one by its ARN: {}",
                found.len(),
                arns.join(" ")
            )));
        }
        found.pop().ok_or_else(|| no_such_execution(named))
    }

    async fn describe(&self, arn: &str) -> Result<Option<DescribeExecutionOutput>, Failure> {
        let described = self.sfn.describe_execution().execution_arn(arn);
        match described.send().await {
            Ok(described) => Ok(Some(described)),
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_execution_does_not_exist() || error.is_invalid_arn()
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(refused("DescribeExecution", &error)),
        }
    }
}

/// The deployment's prefix and the workflow, from the state machine's name in an execution's ARN.
pub fn prefix_and_workflow(execution_arn: &str) -> (&str, &str) {
    let machine = execution_arn.split(':').nth(6).unwrap_or(execution_arn);
    let of_ours = |operation: &Operation| {
        let prefix = machine.strip_suffix(operation.as_str())?;
        Some((prefix.strip_suffix('-')?, &machine[prefix.len()..]))
    };
    let ours = Operation::ALL.iter().find_map(of_ours);
    ours.unwrap_or(("", machine))
}

/// An execution's name: the last part of its ARN.
pub fn name_of(execution_arn: &str) -> &str {
    execution_arn.rsplit(':').next().unwrap_or(execution_arn)
}

/// The ARN, alone or at the end of a console URL.
fn arn_in(named: &str) -> Option<String> {
    let named = named.replace("%3A", ":").replace("%3a", ":");
    let arn = &named[named.find("arn:")?..];
    let arn = arn.split(['?', '&', '#', ' ']).next()?;
    let is_one = arn.split(':').count() == 8 && arn.contains(":states:");
    (is_one && arn.contains(":execution:")).then(|| arn.to_owned())
}

fn no_such_execution(named: &str) -> Failure {
    Failure::new(
        Exit::BadInput,
        format!(
            "there is no execution `{named}` in this deployment; `apgl list` shows the existing ones"
        ),
    )
}

/// A failure with AWS's error code.
pub fn refused<E: ProvideErrorMetadata>(
    action: &str,
    error: &SdkError<E, HttpResponse>,
) -> Failure {
    let error = AwsError::of(error);
    Failure::aws(format!("{action} failed: {}", error.reason()))
}

/// `arn` is that of one of the deployment's resources.
fn place(prefix: &str, arn: &str) -> String {
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next(), parts.next());
    let (region, account) = (region.unwrap_or("?"), account.unwrap_or("?"));
    format!("deployment {prefix}, account {account}, {region}")
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_smithy_types::body::SdkBody;
    use rstest::rstest;

    use super::*;

    const ARN: &str = "arn:aws:states:eu-west-1:1:execution:apgl-delete-channel:cli-1";

    #[test]
    fn a_deployment_is_named_by_prefix_account_and_region() {
        let machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:apgl-dev-delete-channel";
        let expected = "deployment apgl-dev, account 123456789012, eu-west-1";
        assert_eq!(place("apgl-dev", machine), expected);
    }

    async fn environment(status: u16, answer: &'static str) -> Result<String, Failure> {
        let answer = http::Response::builder()
            .status(status)
            .header("x-amzn-errortype", "ResourceNotFoundException")
            .body(SdkBody::from(answer));
        let answer = ReplayEvent::new(http::Request::new(SdkBody::empty()), answer.unwrap());
        let aws = fake_aws::config(StaticReplayClient::new(vec![answer]));
        let deployment = Deployment {
            sfn: aws_sdk_sfn::Client::new(&aws),
            prefix: "apgl-dev".to_owned(),
            aws,
        };
        let environment = deployment.environment_of("find-reminder").await?;
        Ok(format!("{environment:?}"))
    }

    #[tokio::test]
    async fn a_function_has_an_environment_if_it_exists() {
        let set = environment(200, r#"{"Environment":{"Variables":{"REMINDERS":"{}"}}}"#);
        assert_eq!(set.await.unwrap(), r#"{"REMINDERS": "{}"}"#);
        assert_eq!(environment(200, "{}").await.unwrap(), "{}");
        let failure = environment(404, "{}").await.unwrap_err();
        assert_eq!(failure.exit, Exit::Aws);
        let expected = "there is no function apgl-dev-find-reminder in this account and region: ";
        assert!(failure.to_string().starts_with(expected), "{failure}");
    }

    #[rstest]
    #[case(ARN)]
    #[case(
        "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:1:execution:apgl-delete-channel:cli-1"
    )]
    #[case(
        "https://x/#/executions/details/arn%3Aaws%3Astates%3Aeu-west-1%3A1%3Aexecution%3Aapgl-delete-channel%3Acli-1"
    )]
    fn an_execution_is_found_in_text_that_people_copy(#[case] named: &str) {
        assert_eq!(arn_in(named).as_deref(), Some(ARN));
    }

    #[test]
    fn an_arn_contains_the_deployment_and_the_workflow() {
        let arn = ARN.replace("apgl-delete", "apgl-test-delete");
        assert_eq!(prefix_and_workflow(&arn), ("apgl-test", "delete-channel"));
        let other = "arn:aws:states:eu-west-1:1:execution:other:x";
        assert_eq!(prefix_and_workflow(other), ("", "other"));
    }

    #[rstest]
    #[case("cli-1")]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:apgl-delete-channel")]
    #[case("arn:aws:lambda:eu-west-1:1:function:x:y")]
    fn other_text_is_not_the_arn_of_an_execution(#[case] named: &str) {
        assert_eq!(arn_in(named), None);
    }
}

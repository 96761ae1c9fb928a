//! `apgl doctor`: checks the deployment, and says what to do about each problem.

use std::{collections::BTreeSet, sync::Arc};

use apgl_client::{Operation, StateMachines};
use apgl_slack::{DEFAULT_API_URL, FixedToken, SlackClient, SlackError, SlackToken};
use aws_sdk_cloudformation::types::Stack;
use aws_sdk_cloudwatch::types::StateValue;
use aws_sdk_dynamodb::{
    operation::describe_table::DescribeTableError,
    types::{KeySchemaElement, TableStatus},
};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, refused},
    report::{BAD, Exit, Failure, GOOD, Report, STRONG, WARNING, styled},
};

/// The manifest of the Slack app.
const MANIFEST: &str = include_str!("../../slack/manifest.json");
/// The workflows' own time-out, in seconds.
const LONGEST_RUN: i64 = 24 * 60 * 60;
/// The limit for each workflow and status. With more failures than this, the exact number does not matter.
const MOST_LOOKED_AT: u32 = 1_000;
/// The maximum number of names that `DescribeAlarms` takes.
const MOST_ALARMS: usize = 100;
/// Left out if the MPC service has its own handlers.
const OPTIONAL_STACK: &str = "mpc-handlers";

/// The result of a check.
struct Finding {
    verdict: Verdict,
    /// What was checked, and its state.
    what: String,
    /// What the operator should do.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but somebody should know about it.
    Warning,
    Bad,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what: what.into(),
            advice: None,
        }
    }

    fn warning(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }

    fn bad(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(what, advice)
        }
    }

    /// A check that could not be made, for example because a permission is missing.
    fn unchecked(what: &str, failure: &Failure) -> Self {
        Self::warning(
            format!("{what} not checked: {failure}"),
            "run the check with a role that may read it",
        )
    }
}

pub async fn run(deployment: &Deployment) -> Result<Report, Failure> {
    let prefix = &deployment.prefix;
    let main = stack(deployment, "notifications").await?;
    let Some(main) = main else {
        return Err(Failure::aws(format!(
            "there is no stack {prefix}-notifications in this account and region: deploy it with \
             `npx cdk deploy --all`, or choose another --prefix, --region or --profile"
        )));
    };
    let mut findings = vec![of_stack(&main)];
    findings.extend(dead_letters(deployment, &main, &["OutcomeDeadLettersUrl"]).await);
    let handlers = stack(deployment, OPTIONAL_STACK).await?;
    match &handlers {
        Some(handlers) => {
            findings.push(of_stack(handlers));
            let queues = ["EventDeadLettersUrl", "BountyDeadLettersUrl"];
            findings.extend(dead_letters(deployment, handlers, &queues).await);
        }
        None => findings.push(Finding::good(format!(
            "stack {prefix}-{OPTIONAL_STACK}: not deployed (optional)"
        ))),
    }
    let machines = deployment.state_machines().await;
    findings.push(match &machines {
        Ok(machines) => state_machines(machines),
        Err(failure) => Finding::unchecked("state machines", failure),
    });
    findings.extend(token(deployment, &main).await);
    findings.extend(tables(deployment, &main).await);
    let failed = match machines {
        Ok(machines) => failed_executions(deployment, &machines).await,
        Err(failure) => Err(failure),
    };
    findings.push(failed.unwrap_or_else(|failure| Finding::unchecked("executions", &failure)));
    let stacks: Vec<&Stack> = [Some(&main), handlers.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    let alarms = alarms(deployment, &stacks).await;
    findings.extend(alarms.unwrap_or_else(|failure| vec![Finding::unchecked("alarms", &failure)]));
    Ok(report(&findings))
}

async fn stack(deployment: &Deployment, name: &str) -> Result<Option<Stack>, Failure> {
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

fn of_stack(stack: &Stack) -> Finding {
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
fn output<'a>(stack: &'a Stack, key: &str) -> Option<&'a str> {
    let outputs = stack.outputs().iter();
    let mut found = outputs.filter(|output| output.output_key() == Some(key));
    found.next()?.output_value()
}

fn state_machines(machines: &StateMachines) -> Finding {
    let missing: Vec<&str> = Operation::ALL
        .into_iter()
        .filter(|operation| machines.get(*operation).is_none())
        .map(Operation::as_str)
        .collect();
    if missing.is_empty() {
        return Finding::good("state machines: all six are there");
    }
    Finding::bad(
        format!("state machines: {} missing", missing.join(", ")),
        "deploy the stack again",
    )
}

/// Checks the secret, and whether Slack accepts the token in it. The token itself is never shown.
async fn token(deployment: &Deployment, stack: &Stack) -> Vec<Finding> {
    let default = format!("{}/slack-api-token", deployment.prefix);
    let secret = output(stack, "SlackApiTokenSecretName").unwrap_or(&default);
    let store = format!(
        "store the bot token: printf %s \"$SLACK_TOKEN\" | aws secretsmanager put-secret-value \
         --secret-id {secret} --secret-string file:///dev/stdin"
    );
    let secrets = aws_sdk_secretsmanager::Client::new(&deployment.aws);
    let value = match secrets.get_secret_value().secret_id(secret).send().await {
        Ok(value) => value,
        Err(error) => {
            let is_empty = error
                .as_service_error()
                .is_some_and(GetSecretValueError::is_resource_not_found_exception);
            if is_empty {
                return vec![Finding::bad(format!("token: {secret} is empty"), store)];
            }
            let failure = refused("GetSecretValue", &error);
            return vec![Finding::unchecked("token", &failure)];
        }
    };
    let Ok(token) = SlackToken::new(value.secret_string().unwrap_or_default()) else {
        return vec![Finding::bad(
            format!("token: {secret} does not contain a Slack token"),
            store,
        )];
    };
    let url = match slack_api_url(deployment).await {
        Ok(url) => url,
        // The token is sent only to the URL that the functions use.
        Err(failure) => return vec![Finding::unchecked("token", &failure)],
    };
    let Ok(url) = url.parse() else {
        return vec![Finding::bad(
            format!("Slack: {url} is not a valid URL"),
            "deploy again with a valid slackApiUrl",
        )];
    };
    let client = match SlackClient::new(url, Arc::new(FixedToken(token))) {
        Ok(client) => client,
        Err(error) => return vec![Finding::unchecked("token", &Failure::input(error))],
    };
    match client.auth_test().await {
        Ok(auth) => vec![
            Finding::good(format!(
                "token: accepted by Slack, for the workspace {}",
                auth.team
            )),
            scopes(auth.scopes.as_ref()),
        ],
        Err(error @ SlackError::Unauthorized { .. }) => vec![Finding::bad(
            format!("token: {error}"),
            format!("install the Slack app again, or {store}"),
        )],
        Err(error) => vec![Finding::warning(
            format!("token not checked: {error}"),
            "check again when Slack can be reached from here",
        )],
    }
}

/// The Slack URL that the functions use.
async fn slack_api_url(deployment: &Deployment) -> Result<String, Failure> {
    let lambda = aws_sdk_lambda::Client::new(&deployment.aws);
    let function = format!("{}-post-message", deployment.prefix);
    let configured = lambda.get_function_configuration().function_name(function);
    let configured = configured.send().await;
    let configured = configured.map_err(|error| refused("GetFunctionConfiguration", &error))?;
    let variables = configured.environment.and_then(|set| set.variables);
    let url = variables.and_then(|mut variables| variables.remove("SLACK_API_URL"));
    Ok(url.unwrap_or_else(|| DEFAULT_API_URL.to_owned()))
}

fn scopes(granted: Option<&BTreeSet<String>>) -> Finding {
    let Some(granted) = granted else {
        return Finding::warning(
            "scopes: Slack does not say which scopes the token has",
            "compare the app's scopes with slack/manifest.json",
        );
    };
    let needed = scopes_of_the_manifest();
    let listed = |scopes: &mut dyn Iterator<Item = &String>| {
        let scopes: Vec<&str> = scopes.map(String::as_str).collect();
        scopes.join(", ")
    };
    let missing = listed(&mut needed.difference(granted));
    if !missing.is_empty() {
        return Finding::bad(
            format!("scopes: {missing} missing"),
            "add them to the Slack app (slack/manifest.json lists all), and install it again",
        );
    }
    let needless = listed(&mut granted.difference(&needed));
    if !needless.is_empty() {
        return Finding::warning(
            format!("scopes: {needless} not needed"),
            "remove them from the Slack app, and install it again",
        );
    }
    Finding::good("scopes: as in the manifest")
}

fn scopes_of_the_manifest() -> BTreeSet<String> {
    let manifest: Value = MANIFEST.parse().unwrap_or_default();
    let scopes = manifest.pointer("/oauth_config/scopes/bot").cloned();
    serde_json::from_value(scopes.unwrap_or_default()).unwrap_or_default()
}

async fn tables(deployment: &Deployment, stack: &Stack) -> Vec<Finding> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.aws);
    let mut findings = Vec::new();
    for (key, holder) in [
        ("UserProfilesTableName", "email"),
        ("SlackUsersTableName", "email"),
        ("ChannelsTableName", "name"),
        ("DeliveriesTableName", "deliveryId"),
        ("RateLimitsTableName", "owner, item"),
        ("ReceiptsTableName", "id, item"),
    ] {
        // The rate limiter may be off; then there is no such output.
        let Some(table) = output(stack, key) else {
            continue;
        };
        let described = dynamodb.describe_table().table_name(table).send().await;
        let described = match described {
            Ok(described) => described.table,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                None
            }
            Err(error) => {
                let failure = refused("DescribeTable", &error);
                findings.push(Finding::unchecked(&format!("table {table}"), &failure));
                continue;
            }
        };
        let Some(described) = described else {
            findings.push(Finding::bad(
                format!("table {table} does not exist"),
                "deploy again; docs/settings.md says how to use an existing table",
            ));
            continue;
        };
        let keys: Vec<&str> = described
            .key_schema()
            .iter()
            .map(KeySchemaElement::attribute_name)
            .collect();
        findings.push(match described.table_status() {
            _ if keys.join(", ") != holder => Finding::bad(
                format!(
                    "table {table} has the key {}, not {holder}",
                    keys.join(", ")
                ),
                "use a table with this key, or let the stack create its own",
            ),
            Some(TableStatus::Active | TableStatus::Updating) => {
                Finding::good(format!("table {table}: active"))
            }
            status => Finding::bad(
                format!(
                    "table {table}: {}",
                    status.map_or("unknown", |s| s.as_str())
                ),
                "see the table in DynamoDB's console",
            ),
        });
    }
    findings
}

async fn failed_executions(
    deployment: &Deployment,
    machines: &StateMachines,
) -> Result<Finding, Failure> {
    let mut failed = 0;
    let day = jiff::Timestamp::now().as_second() - 24 * 60 * 60;
    for (_, machine) in machines.iter() {
        for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut] {
            let mut pages = deployment
                .sfn
                .list_executions()
                .state_machine_arn(machine.unqualified().as_str())
                .status_filter(status)
                .into_paginator()
                .items()
                .send();
            let mut looked_at = 0;
            while let Some(execution) = pages.next().await {
                let execution = execution.map_err(|error| refused("ListExecutions", &error))?;
                let stopped = execution.stop_date.as_ref();
                failed += usize::from(stopped.is_some_and(|stopped| stopped.secs() >= day));
                looked_at += 1;
                if execution.start_date.secs() < day - LONGEST_RUN || looked_at == MOST_LOOKED_AT {
                    break;
                }
            }
        }
    }
    Ok(match failed {
        0 => Finding::good("executions: none failed in the last 24 hours"),
        count => Finding::warning(
            format!("executions: {count} failed in the last 24 hours"),
            "apgl list --failed shows them",
        ),
    })
}

/// Checks the dead-letter queues that these outputs of the stack name. Somebody must deal with their messages.
async fn dead_letters(deployment: &Deployment, stack: &Stack, keys: &[&str]) -> Vec<Finding> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.aws);
    let mut findings = Vec::new();
    for key in keys {
        let Some(url) = output(stack, key) else {
            continue;
        };
        let name = url.rsplit('/').next().unwrap_or(url);
        let attribute = QueueAttributeName::ApproximateNumberOfMessages;
        let read = sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(attribute.clone());
        let count = match read.send().await {
            Ok(read) => read
                .attributes
                .and_then(|mut attributes| attributes.remove(&attribute)),
            Err(error) => {
                let failure = refused("GetQueueAttributes", &error);
                findings.push(Finding::unchecked(&format!("queue {name}"), &failure));
                continue;
            }
        };
        findings.push(match count.as_deref() {
            None | Some("0") => Finding::good(format!("queue {name}: empty")),
            Some(count) => Finding::bad(
                format!("queue {name}: {count} dead letters, kept for 14 days"),
                "docs/alarms.md says what they are and how to send them again",
            ),
        });
    }
    findings
}

/// Checks the alarms that belong to the stacks. Names would not do: another deployment may share the prefix.
async fn alarms(deployment: &Deployment, stacks: &[&Stack]) -> Result<Vec<Finding>, Failure> {
    let cloudformation = aws_sdk_cloudformation::Client::new(&deployment.aws);
    let mut names = Vec::new();
    for stack in stacks {
        let mut resources = cloudformation
            .list_stack_resources()
            .stack_name(stack.stack_name().unwrap_or_default())
            .into_paginator()
            .items()
            .send();
        while let Some(resource) = resources.next().await {
            let resource = resource.map_err(|error| refused("ListStackResources", &error))?;
            if resource.resource_type() == Some("AWS::CloudWatch::Alarm") {
                names.extend(resource.physical_resource_id);
            }
        }
    }
    if names.is_empty() {
        return Ok(vec![Finding::warning(
            "alarms: there are none",
            "deploy with -c alarms=true -c alarmEmail=…, so that somebody is notified of failures",
        )]);
    }
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&deployment.aws);
    let mut alarms = Vec::new();
    for names in names.chunks(MOST_ALARMS) {
        let described = cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .max_records(100)
            .send()
            .await
            .map_err(|error| refused("DescribeAlarms", &error))?;
        alarms.extend(described.metric_alarms.unwrap_or_default());
    }
    let mut ringing: Vec<Finding> = alarms
        .iter()
        .filter(|alarm| alarm.state_value() == Some(&StateValue::Alarm))
        .map(|alarm| {
            let name = alarm.alarm_name().unwrap_or_default();
            let advice = alarm.alarm_description().unwrap_or("see it in CloudWatch");
            Finding::bad(format!("alarm {name} rings"), advice)
        })
        .collect();
    if ringing.is_empty() {
        ringing.push(Finding::good(format!(
            "alarms: {}, none rings",
            alarms.len()
        )));
    }
    Ok(ringing)
}

fn report(findings: &[Finding]) -> Report {
    let mut lines = Vec::new();
    let mut all: Vec<Value> = Vec::new();
    for finding in findings {
        let (glyph, style, word) = match finding.verdict {
            Verdict::Good => ("✔", GOOD, "good"),
            Verdict::Warning => ("!", WARNING, "warning"),
            Verdict::Bad => ("✗", BAD, "bad"),
        };
        lines.push(format!("{} {}", styled(style, glyph), finding.what));
        lines.extend(finding.advice.iter().map(|advice| format!("  → {advice}")));
        all.push(json!({ "verdict": word, "what": finding.what, "advice": finding.advice }));
    }
    let count = |verdict| findings.iter().filter(|one| one.verdict == verdict).count();
    let (bad, warnings) = (count(Verdict::Bad), count(Verdict::Warning));
    let sum = match (bad, warnings) {
        (0, 0) => styled(GOOD, "all is well"),
        (0, warnings) => format!("{} ({warnings} to look at)", styled(GOOD, "it works")),
        (bad, _) => styled(BAD, format!("{bad} to fix")),
    };
    lines.push(format!("\n{}", styled(STRONG, sum)));
    Report {
        text: lines.join("\n"),
        json: json!({ "findings": all }),
        exit: if bad == 0 { Exit::Fine } else { Exit::NotWell },
    }
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
        let stack = stack(self, "notifications").await?;
        let named = stack.as_ref().and_then(|stack| output(stack, key));
        Ok(named.map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], Verdict::Good, "as in the manifest")]
    #[case(&["-chat:write", "-users:read"], Verdict::Bad, "chat:write, users:read missing")]
    #[case(&["admin"], Verdict::Warning, "admin not needed")]
    fn a_tokens_scopes_are_held_against_the_manifest(
        #[case] changes: &[&str],
        #[case] verdict: Verdict,
        #[case] expected: &str,
    ) {
        let mut granted = scopes_of_the_manifest();
        assert!(granted.contains("chat:write"));
        for change in changes {
            match change.strip_prefix('-') {
                Some(scope) => granted.remove(scope),
                None => granted.insert((*change).to_owned()),
            };
        }
        let finding = scopes(Some(&granted));
        assert_eq!(finding.verdict, verdict);
        assert_eq!(finding.what, format!("scopes: {expected}"));
    }
}

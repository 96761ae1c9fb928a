//! Shared by the end-to-end tests: the running stack, people, and finished executions.
//!
//! The tests in `together` run concurrently on one stack, so each uses channels and people of its own. Every request
//! and outcome that passes through this crate is validated against its JSON Schema.

#![allow(clippy::missing_panics_doc, reason = "a failing test panics")]

pub mod aws_cli;
pub mod filter_patterns;
pub mod metrics;
pub mod mpc;
pub mod schemas;

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use apgl_rate_limit::{RateLimits, SlackClock};
use apgl_slack::quotas::quota_named;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::FunctionConfiguration;
use aws_types::SdkConfig;
use local_stack::{
    Execution, Status, Visit,
    execution::{Executions, state_machine_arn},
    invoke::Answer,
    runtime_api,
    stack::{aws_config, client_environment, put_profile},
};
use serde_json::{Value, json};
use slack_sandbox::{
    Admin, Seed,
    admin::ChannelState,
    calls::Call,
    faults::{Fault, How},
    seed::ChannelSeed,
    server::ChannelChange,
    workspace::{BOT_USER_ID, User},
};
use tokio::time::sleep;

/// How long one of Slack's seconds lasts on the stack, in seconds. Waits are shortened accordingly.
pub const WAIT_SCALE: f64 = 0.05;
/// Generous, because tests must not fail because of a slow machine.
const AT_MOST: Duration = Duration::from_mins(3);
const PROFILES_TABLE: &str = "apgl-user-profiles";
const CHANNELS_TABLE: &str = "apgl-channels";
pub const RATE_LIMITS_TABLE: &str = "apgl-rate-limits";
pub const RECEIPTS_TABLE: &str = "apgl-receipts";

/// The stack that the `e2e` program has started.
#[derive(Debug)]
pub struct World {
    pub aws: SdkConfig,
    pub sandbox: Admin,
    /// The folder of the deployed functions.
    pub functions: PathBuf,
    executions: Executions,
}

/// An execution that has ended, with the states that it visited.
#[derive(Debug)]
pub struct Ended {
    pub execution: Execution,
    pub visits: Vec<Visit>,
}

impl World {
    pub fn here() -> Self {
        let aws = aws_config(&variable("APGL_E2E_AWS"));
        Self {
            sandbox: Admin::new(variable("APGL_E2E_SANDBOX")),
            functions: variable("APGL_E2E_FUNCTIONS").into(),
            executions: Executions::new(&aws),
            aws,
        }
    }

    /// Adds a Slack user with a profile. The address is unique to this test.
    pub async fn person(&self, name: &str, wants_slack: Option<bool>) -> String {
        let email = self.slack_user(name, User::default()).await;
        self.profile(&email, wants_slack).await;
        email
    }

    /// Adds a Slack user without a profile.
    pub async fn slack_user(&self, name: &str, user: User) -> String {
        let email = unique_email(name);
        let user = User {
            name: name.to_owned(),
            email: Some(email.clone()),
            ..user
        };
        self.add_users(vec![user]).await;
        email
    }

    pub async fn profile(&self, email: &str, wants_slack: Option<bool>) {
        let written = put_profile(&self.aws, PROFILES_TABLE, email, wants_slack).await;
        written.expect("the profile is written");
    }

    /// Adds this Slack account with a profile that asks for Slack notifications.
    pub async fn account(&self, name: &str, user: User) -> String {
        let email = self.slack_user(name, user).await;
        self.profile(&email, Some(true)).await;
        email
    }

    /// Adds `count` Slack users who want Slack notifications.
    pub async fn people(&self, name: &str, count: usize) -> Vec<String> {
        let users: Vec<User> = (0..count)
            .map(|n| {
                let name = format!("{name}{n}");
                User {
                    email: Some(unique_email(&name)),
                    name,
                    ..User::default()
                }
            })
            .collect();
        let emails: Vec<String> = users.iter().filter_map(|user| user.email.clone()).collect();
        self.add_users(users).await;
        for email in &emails {
            self.profile(email, Some(true)).await;
        }
        emails
    }

    /// Returns the address of the app's own bot user, with a profile that asks for Slack notifications.
    pub async fn bot_itself(&self) -> String {
        let email = "apgl-notifications@example.com".to_owned();
        let bot = User {
            id: BOT_USER_ID.to_owned(),
            name: "APGL-Notifications".to_owned(),
            email: Some(email.clone()),
            is_bot: true,
            ..User::default()
        };
        self.add_users(vec![bot]).await;
        self.profile(&email, Some(true)).await;
        email
    }

    /// Changes the channel as a person could, without the bot's knowledge.
    pub async fn change_channel(&self, name: &str, change: ChannelChange) {
        let changed = self.sandbox.change_channel(name, &change).await;
        changed.expect("the channel is changed");
    }

    /// Adds a private channel with the bot and these members.
    pub async fn private_channel(&self, name: &str, members: &[&str]) -> ChannelState {
        let seed = ChannelSeed {
            is_private: true,
            members: members.iter().map(|email| (*email).to_owned()).collect(),
            ..ChannelSeed::default()
        };
        self.channel(name, seed).await
    }

    /// Adds a public channel with only the bot in it.
    pub async fn public_channel(&self, name: &str) -> ChannelState {
        self.channel(name, ChannelSeed::default()).await
    }

    /// Adds a channel that exists before the test. Because our table does not know the channel, also deletes the
    /// record of the last complete scan, as an operator can.
    pub async fn channel(&self, name: &str, seed: ChannelSeed) -> ChannelState {
        let channel = ChannelSeed {
            name: name.to_owned(),
            ..seed
        };
        self.seed(Seed {
            channels: vec![channel],
            ..Seed::default()
        })
        .await;
        self.forget_scan().await;
        self.in_slack(name).await
    }

    /// Makes the next look-up of an unknown channel scan Slack's channels.
    pub async fn forget_scan(&self) {
        let deleted = aws_sdk_dynamodb::Client::new(&self.aws)
            .delete_item()
            .table_name(CHANNELS_TABLE)
            .key("name", AttributeValue::S("#scan".to_owned()))
            .send()
            .await;
        deleted.expect("the scan is forgotten");
    }

    async fn add_users(&self, users: Vec<User>) {
        self.seed(Seed {
            users,
            ..Seed::default()
        })
        .await;
    }

    pub async fn seed(&self, seed: Seed) {
        self.sandbox.seed(&seed).await.expect("the seed is planted");
    }

    /// Makes the next post to the channel wait for so many of Slack's seconds: others have reserved the time until
    /// then. A refusal as long as that would hold up the posts of all tests.
    pub async fn fill_queue(&self, channel_id: &str, seconds: u32) {
        let client = aws_sdk_dynamodb::Client::new(&self.aws);
        let limits = RateLimits::new(client, RATE_LIMITS_TABLE.to_owned());
        let quota = quota_named(&format!("chat.postMessage#{channel_id}"));
        let clock = SlackClock::with_scale(WAIT_SCALE).expect("it is a scale");
        let taken = limits.take(&quota, seconds, clock.now(), None).await;
        taken.expect("the table of rate limits is there");
    }

    pub async fn fault(&self, method: &str, argument: &str, value: &str, times: u64, how: How) {
        let fault = Fault::new(method, how)
            .only_where(argument, value)
            .times(times);
        self.sandbox
            .add_fault(&fault)
            .await
            .expect("the fault is armed");
    }

    /// Deploys a copy of a workflow's state machine with another definition, under a name that only this test uses.
    /// Returns that name in the form of a workflow's name.
    pub async fn copy_of(
        &self,
        workflow: &str,
        definition: impl FnOnce(String) -> String,
    ) -> String {
        let machines = aws_sdk_sfn::Client::new(&self.aws);
        let deployed = machines.describe_state_machine();
        let deployed = deployed.state_machine_arn(state_machine_arn(workflow));
        let deployed = deployed.send().await.expect("the workflow is deployed");
        let copy = format!("{workflow}.{}", unique("copy"));
        let create = machines
            .create_state_machine()
            .name(format!("apgl-{copy}"))
            .definition(definition(deployed.definition))
            .role_arn(deployed.role_arn);
        create.send().await.expect("the copy is made");
        copy
    }

    /// Runs the deployed function `watch-executions` once for these workflows.
    pub async fn watch(&self, workflows: &[&str]) {
        let program = self.functions.join("watch-executions/bootstrap");
        let url = self.aws.endpoint_url().expect("the stack has an address");
        let machines: Vec<String> = workflows
            .iter()
            .map(|name| state_machine_arn(name))
            .collect();
        let queue = format!("{url}/000000000000/apgl-outcomes");
        let environment = client_environment(url).into_iter().chain([
            ("STATE_MACHINES", machines.join(",")),
            ("RECEIPTS_TABLE", RECEIPTS_TABLE.to_owned()),
            ("OUTCOMES_QUEUE_URL", queue),
        ]);
        let answers = runtime_api::run(&program, environment, vec![json!({})]).await;
        let answers = answers.expect("the function runs");
        assert_eq!(answers, [Answer::Outcome(Value::Null)]);
    }

    /// The deployed functions, by the names of their crates.
    pub async fn functions(&self) -> BTreeMap<String, FunctionConfiguration> {
        let functions = aws_sdk_lambda::Client::new(&self.aws).list_functions();
        let functions = functions
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let functions = functions.expect("the functions are listed");
        let named = functions.into_iter().filter_map(|function| {
            let name = function.function_name()?.strip_prefix("apgl-")?.to_owned();
            Some((name, function))
        });
        named.collect()
    }

    /// Runs a workflow to its end.
    pub async fn run(&self, workflow: &str, request: &Value) -> Ended {
        let arn = self.start(workflow, request).await;
        self.end_of(&arn).await
    }

    pub async fn start(&self, workflow: &str, request: &Value) -> String {
        self.executions
            .start(workflow, request)
            .await
            .expect("the execution starts")
    }

    /// Redrives an execution, and waits until it has ended.
    pub async fn redrive(&self, arn: &str) -> Ended {
        let redriven = self.executions.redrive(arn).await;
        redriven.expect("the execution is redriven");
        self.end_of(arn).await
    }

    pub async fn stop(&self, arn: &str) {
        let stopped = self.executions.stop(arn).await;
        stopped.expect("the execution is stopped");
    }

    /// Waits until the execution is in this state.
    pub async fn is_in(&self, arn: &str, state: &str) {
        let started = Instant::now();
        while started.elapsed() < AT_MOST {
            let visits = self.executions.visits(arn).await;
            let visits = visits.expect("the execution has a history");
            if visits.last().is_some_and(|visit| visit.state == state) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{arn} did not reach {state}");
    }

    pub async fn end_of(&self, arn: &str) -> Ended {
        let execution = self
            .executions
            .wait(arn, AT_MOST)
            .await
            .expect("the execution ends");
        let visits = self
            .executions
            .visits(arn)
            .await
            .expect("the execution has a history");
        schemas::check(&execution);
        Ended { execution, visits }
    }

    pub async fn in_slack(&self, channel: &str) -> ChannelState {
        self.find_in_slack(channel)
            .await
            .expect("the channel is in Slack")
    }

    pub async fn find_in_slack(&self, channel: &str) -> Option<ChannelState> {
        self.sandbox
            .channel(channel)
            .await
            .expect("the sandbox answers")
    }

    /// The number of calls of the method to which Slack responded successfully.
    pub async fn call_count(&self, method: &str) -> usize {
        let calls = self.sandbox.calls().await.expect("the sandbox answers");
        let answered = |call: &&Call| call.method == method && call.status == 200;
        calls.iter().filter(answered).count()
    }

    /// The calls that have this text in their arguments.
    pub async fn calls_with(&self, text: &str) -> Vec<Call> {
        let calls = self.sandbox.calls().await.expect("the sandbox answers");
        calls
            .into_iter()
            .filter(|call| call.arguments.values().any(|value| value.contains(text)))
            .collect()
    }
}

impl Ended {
    /// The output of the execution. Panics unless it succeeded.
    pub fn output(&self) -> &Value {
        assert_eq!(
            self.execution.status,
            Status::Succeeded,
            "{:?}",
            self.execution
        );
        &self.execution.output
    }

    /// The error and the cause of the execution. Panics unless it failed.
    pub fn failure(&self) -> (&str, Value) {
        assert_eq!(
            self.execution.status,
            Status::Failed,
            "{:?}",
            self.execution
        );
        let cause = self.execution.cause.as_deref().unwrap_or_default();
        let error = self.execution.error.as_deref().unwrap_or_default();
        (error, cause.parse().unwrap_or_default())
    }

    pub fn states(&self) -> Vec<&str> {
        self.visits
            .iter()
            .map(|visit| visit.state.as_str())
            .collect()
    }

    /// The visited states without waits and repetitions, so that the result does not depend on how much of Slack's
    /// limits other tests use.
    pub fn steps(&self) -> Vec<&str> {
        let mut steps = self.states();
        steps.retain(|state| !state.starts_with("Wait"));
        steps.dedup();
        steps
    }

    /// The number of failed attempts of the state, over all its visits.
    pub fn failed_attempts(&self, state: &str) -> u32 {
        let visits = self.visits.iter().filter(|visit| visit.state == state);
        visits.map(|visit| visit.failed_attempts).sum()
    }

    /// The last state that the execution visited.
    pub fn last_state(&self) -> &str {
        self.visits.last().map_or("", |visit| visit.state.as_str())
    }
}

/// A name that is unique in this run.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{n}", process::id())
}

fn unique_email(name: &str) -> String {
    format!("{}@example.com", unique(name))
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests with `cargo xtask test`"))
}

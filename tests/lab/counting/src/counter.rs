//! A local stack that counts each execution's work.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_sfn::Client;
use aws_types::SdkConfig;
use futures_util::future::try_join_all;
use local_stack::{
    Detour, LocalStack, Project, StackOptions, Status,
    execution::{Executions, state_machine_arn},
    invoke::{Answer, invoke},
    stack::{ACCOUNT, REGION, put_profile},
};
use serde_json::{Value, json};
use slack_sandbox::{Admin, Seed, workspace::User};
use tokio::time::sleep;

use crate::{
    Error,
    aws::AwsProxy,
    dynamodb::Item,
    history::{History, Steps},
    logs::invocations_since,
    schedules::{self, Schedule},
    work::Work,
};

/// An execution that has not ended by then counts as stuck.
const AT_MOST: Duration = Duration::from_mins(5);
/// The number of profiles that are written in parallel.
const PROFILES_AT_ONCE: usize = 50;
pub(crate) const CHANNELS_TABLE: &str = "apgl-channels";
pub(crate) const ITEMS_TABLE: &str = "apgl-items";
pub(crate) const RATE_LIMITS_TABLE: &str = "apgl-rate-limits";

/// Runs one execution at a time, without scaled waits, and counts what it uses.
#[derive(Debug)]
pub struct Counter {
    pub stack: LocalStack,
    pub sandbox: Admin,
    /// The schedules of the stack, which are stopped.
    pub schedules: Vec<Schedule>,
    proxy: AwsProxy,
    executions: Executions,
    client: Client,
}

impl Counter {
    /// Starts a stack of its own, with the proxy between the functions and AWS. All functions are cold.
    pub async fn start(project: &Project, name: &str) -> Result<Self, Error> {
        let proxy = AwsProxy::start_weighing().await?;
        let options = StackOptions {
            mpc_handlers: false,
            detour: Detour {
                aws_url: Some(proxy.url()),
                ..Detour::default()
            },
            ..StackOptions::new(name)
        };
        let stack = LocalStack::start(project, options).await?;
        proxy.forward_to(&stack.endpoints.aws, &stack.aws);
        let sandbox = stack.sandbox().ok_or(Error::NoSandbox)?;
        Ok(Self {
            schedules: schedules::stop_all(&stack.aws).await?,
            executions: Executions::new(&stack.aws),
            client: Client::new(&stack.aws),
            stack,
            sandbox,
            proxy,
        })
    }

    pub fn aws(&self) -> &SdkConfig {
        &self.stack.aws
    }

    /// Adds people to Slack who want to be notified there. Returns their addresses.
    pub async fn settle(
        &self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Vec<String>, Error> {
        let email = |name: &str| format!("{name}@example.com");
        let users = names.into_iter().map(|name| User {
            email: Some(email(&name)),
            name,
            ..User::default()
        });
        let users: Vec<User> = users.collect();
        let emails: Vec<String> = users.iter().filter_map(|user| user.email.clone()).collect();
        let seed = Seed {
            users,
            ..Seed::default()
        };
        self.sandbox.seed(&seed).await?;
        let table = self.stack.user_profiles_table();
        for some in emails.chunks(PROFILES_AT_ONCE) {
            let puts = some.iter();
            let puts = puts.map(|email| put_profile(self.aws(), table, email, Some(true)));
            try_join_all(puts).await?;
        }
        Ok(emails)
    }

    /// Runs a workflow to its end. It must succeed within minutes.
    pub async fn count(&self, workflow: &str, request: &Value) -> Result<Work, Error> {
        self.sandbox.clear_calls().await?;
        self.proxy.take();
        let began = SystemTime::now();
        let arn = self.executions.start(workflow, request).await?;
        let execution = self.executions.wait(&arn, AT_MOST).await?;
        if execution.status != Status::Succeeded {
            let error = execution.error.unwrap_or_default();
            return Err(Error::Failed { arn, error });
        }
        let history = History::of(&self.client, &arn).await?;
        self.work_since(began, history.steps()).await
    }

    /// Invokes a function as its EventBridge schedule would.
    pub async fn count_invocation(&self, function: &str) -> Result<Work, Error> {
        let event = json!({
            "version": "0",
            "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": "2026-11-25T06:45:00Z",
            "region": REGION,
            "resources": [],
            "detail": {},
        });
        self.count_invocations(function, &[event]).await
    }

    /// Records that an execution started and how it ended: two status changes, each in a batch of its own.
    pub async fn count_receipt(
        &self,
        name: &str,
        request: &Value,
        outcome: &Value,
    ) -> Result<Work, Error> {
        let machine = state_machine_arn("notify-private-channel");
        let execution = machine.replace(":stateMachine:", ":execution:") + ":" + name;
        let change = |status: &str, output: Option<String>| {
            let is_over = status != "RUNNING";
            json!({ "detail": {
                "executionArn": execution, "stateMachineArn": machine, "name": name, "status": status,
                "startDate": 1_795_000_000_000_u64, "stopDate": is_over.then_some(1_795_000_004_000_u64),
                "redriveCount": 0, "input": request.to_string(), "output": output,
            } })
        };
        let started = change("RUNNING", None);
        let ended = change("SUCCEEDED", Some(outcome.to_string()));
        let batches = [started, ended]
            .map(|change| json!({ "Records": [{ "messageId": "1", "body": change.to_string() }] }));
        self.count_invocations("apgl-record-outcome", &batches)
            .await
    }

    async fn count_invocations(&self, function: &str, events: &[Value]) -> Result<Work, Error> {
        self.sandbox.clear_calls().await?;
        self.proxy.take();
        let began = SystemTime::now();
        let name = function.strip_prefix("apgl-").unwrap_or(function);
        for event in events {
            if let Answer::Failure { error, .. } = invoke(self.aws(), name, event).await? {
                let arn = function.to_owned();
                return Err(Error::Failed { arn, error });
            }
        }
        let steps = Steps {
            invocations: BTreeMap::from([(function.to_owned(), events.len() as u64)]),
            ..Steps::default()
        };
        self.work_since(began, steps).await
    }

    async fn work_since(&self, began: SystemTime, steps: Steps) -> Result<Work, Error> {
        let passed = self.proxy.take();
        let slack = self.sandbox.call_summary().await?;
        let logs = invocations_since(self.aws(), began).await?;
        Work::of(steps, &passed, &logs, slack)
    }

    /// Waits until the previous calls no longer count towards any of Slack's limits.
    pub async fn rest(&self) -> Result<(), Error> {
        let pages = aws_sdk_dynamodb::Client::new(self.aws())
            .scan()
            .table_name(RATE_LIMITS_TABLE)
            .consistent_read(true)
            .into_paginator()
            .items();
        let quotas = pages.send().try_collect().await;
        let quotas = quotas.map_err(Error::aws("Scan"))?;
        let tat = |quota: &Item| quota.get("tat")?.as_n().ok()?.parse().ok();
        let last = quotas.iter().filter_map(tat).max().unwrap_or_default();
        let last = UNIX_EPOCH + Duration::from_millis(last);
        sleep(last.duration_since(SystemTime::now()).unwrap_or_default()).await;
        Ok(())
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }
}

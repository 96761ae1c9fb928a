//! Throughput: how many executions the client starts, how many the whole gets through, and where the time goes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use apgl_client::{Client, NotifyPublicChannel, StateMachines};
use counting::{Section, Table, bill::number, logs::invocations_since, schedules};
use futures_util::{StreamExt, TryStreamExt, stream};
use local_stack::{
    LocalStack, Project, StackOptions, Status,
    execution::{Executions, state_machines},
};
use slack_sandbox::{Admin, Seed, seed::ChannelSeed};

use crate::{
    Error, TIME_SCALE,
    spread::{Spread, millis},
};

const AT_MOST: Duration = Duration::from_mins(10);
/// As the channels of a workspace that is at work.
const CHANNELS: usize = 20;

/// What a burst of notifications took.
#[derive(Debug)]
pub struct Throughput {
    executions: usize,
    at_once: usize,
    /// Of one start, by the client.
    start: Spread<Duration>,
    starting: Duration,
    /// From the first start to the last end.
    whole: Duration,
    /// By state: what it took from being entered to being left, all visits together.
    states: BTreeMap<String, Visits>,
    /// What Lambda says that the functions took, all together.
    functions: Duration,
    invocations: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Visits {
    count: u32,
    time: Duration,
}

/// Starts so many notifications to known public channels, `at_once` at a time, and waits for all.
pub async fn measure(
    project: &Project,
    executions: usize,
    at_once: usize,
) -> Result<Throughput, Error> {
    let options = StackOptions {
        wait_scale: TIME_SCALE,
        mpc_handlers: false,
        ..StackOptions::new("throughput")
    };
    let stack = LocalStack::start(project, options).await?;
    let measured = on(&stack, executions, at_once).await;
    stack.stop().await;
    measured
}

async fn on(stack: &LocalStack, executions: usize, at_once: usize) -> Result<Throughput, Error> {
    let no_sandbox = || Error::Unmeasured("throughput needs the sandbox".to_owned());
    seed(&stack.sandbox().ok_or_else(no_sandbox)?).await?;
    let machines = StateMachines::starting_with(&state_machines());
    let machines = machines.ok_or_else(|| Error::Unmeasured("no state machines".to_owned()))?;
    let sfn = aws_sdk_sfn::Client::new(&stack.aws);
    let client = Client::new(sfn, machines, "bench");
    let client = client.map_err(|error| Error::Unmeasured(error.to_string()))?;
    schedules::stop_all(&stack.aws).await?;
    let ends = Executions::new(&stack.aws);
    // The functions are warm, and the channels known.
    for n in 0..CHANNELS {
        let (arn, _) = start(&client, &format!("warm-{n}"), n).await?;
        succeeded(&ends, &arn).await?;
    }
    let (began, now) = (SystemTime::now(), Instant::now());
    let starts = stream::iter(0..executions).map(async |n| {
        let key = format!("burst-{n}");
        start(&client, &key, n).await
    });
    let started: Vec<(String, Duration)> = starts.buffer_unordered(at_once).try_collect().await?;
    let starting = now.elapsed();
    for (arn, _) in &started {
        succeeded(&ends, arn).await?;
    }
    let whole = now.elapsed();
    let mut states: BTreeMap<String, Visits> = BTreeMap::new();
    for (arn, _) in &started {
        for visit in ends.visits(arn).await? {
            let visits = states.entry(visit.state).or_default();
            visits.count += 1;
            visits.time += visit.took;
        }
    }
    let logs = invocations_since(&stack.aws, began).await?;
    let none = || Error::Unmeasured("at least one execution is needed".to_owned());
    Ok(Throughput {
        executions,
        at_once,
        start: Spread::of(started.iter().map(|(_, took)| *took)).ok_or_else(none)?,
        starting,
        whole,
        states,
        functions: logs.values().map(|seen| seen.time).sum(),
        invocations: logs.values().map(|seen| seen.count).sum(),
    })
}

async fn seed(sandbox: &Admin) -> Result<(), Error> {
    let channels = (0..CHANNELS).map(|n| ChannelSeed {
        name: channel(n),
        ..ChannelSeed::default()
    });
    let seed = Seed {
        channels: channels.collect(),
        ..Seed::default()
    };
    Ok(sandbox.seed(&seed).await?)
}

fn channel(n: usize) -> String {
    format!("bench-{}", n % CHANNELS)
}

/// Starts one, and answers its ARN and what that took.
async fn start(client: &Client, key: &str, n: usize) -> Result<(String, Duration), Error> {
    let began = Instant::now();
    let request = NotifyPublicChannel::new(channel(n), "Hello");
    let started = client.notify_public_channel(key, &request).await;
    let started = started.map_err(|error| Error::Unmeasured(error.to_string()))?;
    Ok((started.arn().to_owned(), began.elapsed()))
}

async fn succeeded(ends: &Executions, arn: &str) -> Result<(), Error> {
    let execution = ends.wait(arn, AT_MOST).await?;
    if execution.status == Status::Succeeded {
        return Ok(());
    }
    let error = execution.error.unwrap_or_default();
    Err(Error::Unmeasured(format!("{arn} failed with {error}")))
}

impl Throughput {
    pub fn section(&self) -> Section {
        let mut table = Table::new(["", "a second", "ms each", "as"]);
        let rate =
            |time: Duration| format!("{:.1}", number(self.executions as u64) / time.as_secs_f64());
        let starts = [
            "starts by the client".to_owned(),
            rate(self.starting),
            self.start.to_string(),
            "median".to_owned(),
        ];
        table.row(starts);
        table.row([
            "executions, from the first start to the last end".to_owned(),
            rate(self.whole),
            String::new(),
            String::new(),
        ]);
        for (state, visits) in &self.states {
            let each = format!("{:.1}", millis(visits.time / visits.count.max(1)));
            table.row([
                format!("state {state}, entered to left"),
                String::new(),
                each,
                "mean".to_owned(),
            ]);
        }
        let invocations = u32::try_from(self.invocations).unwrap_or(u32::MAX).max(1);
        let each = format!("{:.1}", millis(self.functions / invocations));
        table.row([
            "an invocation, by Lambda's word".to_owned(),
            String::new(),
            each,
            "mean".to_owned(),
        ]);
        let Self {
            executions,
            at_once,
            ..
        } = self;
        Section {
            title: "Throughput",
            note: Some(format!(
                "{executions} notifications to known public channels, {at_once} starts at a time, Slack's limits a \
                 thousand times as wide. What a state takes beyond its function is MiniStack's: Step Functions, \
                 Lambda and both cores, shared with everything else here."
            )),
            table,
        }
    }
}

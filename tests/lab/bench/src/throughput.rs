//! Throughput: how many executions start and finish each second, and where the time goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
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
    processor::ProcessorTime,
    spread::{Spread, millis},
};

const AT_MOST: Duration = Duration::from_mins(10);
/// As many channels as an active workspace uses.
const CHANNELS: usize = 20;

/// Slow enough that nothing waits for a processor: one start every 250 ms.
const AT_EASE: Pace = Pace {
    executions: 100,
    start: Start::Every(Duration::from_millis(250)),
};

/// How many notifications to start, and at what pace.
#[derive(Debug, Clone, Copy)]
struct Pace {
    executions: usize,
    start: Start,
}

#[derive(Debug, Clone, Copy)]
enum Start {
    /// This many starts are in flight at any time.
    AtOnce(usize),
    /// One start in each interval.
    Every(Duration),
}

/// The notifications' times at a leisurely pace, and at the requested concurrency.
#[derive(Debug)]
pub struct Throughput {
    at_ease: Run,
    at_once: Run,
}

/// What some notifications took.
#[derive(Debug)]
struct Run {
    pace: Pace,
    /// The duration of one start, measured by the client.
    start: Spread<Duration>,
    starting: Duration,
    /// From the first start to the last end.
    whole: Duration,
    /// By state: the time from entering to leaving it, over all visits.
    states: BTreeMap<String, Visits>,
    /// The functions' total duration, as Lambda reports it.
    functions: Duration,
    invocations: u64,
    processor: ProcessorTime,
}

#[derive(Debug, Default, Clone, Copy)]
struct Visits {
    count: u32,
    time: Duration,
}

/// Starts notifications to known public channels, first at a leisurely pace and then `at_once` at once, and waits
/// for all of them to finish.
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
    let at_once = Pace {
        executions,
        start: Start::AtOnce(at_once),
    };
    let stack = LocalStack::start(project, options).await?;
    let measured = on(&stack, at_once).await;
    stack.stop().await;
    measured
}

async fn on(stack: &LocalStack, at_once: Pace) -> Result<Throughput, Error> {
    let no_sandbox = || Error::Unmeasured("measuring throughput needs the sandbox".to_owned());
    seed(&stack.sandbox().ok_or_else(no_sandbox)?).await?;
    let machines = StateMachines::starting_with(&state_machines());
    let machines =
        machines.ok_or_else(|| Error::Unmeasured("there are no state machines".to_owned()))?;
    let sfn = aws_sdk_sfn::Client::new(&stack.aws);
    let client = Client::new(sfn, machines, "bench");
    let client = client.map_err(|error| Error::Unmeasured(error.to_string()))?;
    schedules::stop_all(&stack.aws).await?;
    let ends = Executions::new(&stack.aws);
    // Afterwards one environment of each function is warm, and the channels are in the table.
    for n in 0..CHANNELS {
        let (arn, _) = start(&client, &format!("warm-{n}"), n).await?;
        succeeded(&ends, &arn).await?;
    }
    Ok(Throughput {
        at_ease: run(stack, &client, &ends, "ease", AT_EASE).await?,
        at_once: run(stack, &client, &ends, "burst", at_once).await?,
    })
}

async fn run(
    stack: &LocalStack,
    client: &Client,
    ends: &Executions,
    name: &str,
    pace: Pace,
) -> Result<Run, Error> {
    let ended = || Error::Unmeasured("MiniStack has ended".to_owned());
    let ministack = stack.ministack_id().ok_or_else(ended)?;
    let processor = ProcessorTime::of(ministack)?;
    let (began, now) = (SystemTime::now(), Instant::now());
    let started = start_all(client, name, pace).await?;
    let starting = now.elapsed();
    for (arn, _) in &started {
        succeeded(ends, arn).await?;
    }
    let whole = now.elapsed();
    let processor = ProcessorTime::of(ministack)?.since(processor);
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
    Ok(Run {
        pace,
        start: Spread::of(started.iter().map(|(_, took)| *took)).ok_or_else(none)?,
        starting,
        whole,
        states,
        functions: logs.values().map(|seen| seen.time).sum(),
        invocations: logs.values().map(|seen| seen.count).sum(),
        processor,
    })
}

/// Returns each execution's ARN and how long its start took.
async fn start_all(
    client: &Client,
    name: &str,
    pace: Pace,
) -> Result<Vec<(String, Duration)>, Error> {
    let began = tokio::time::Instant::now();
    let starts = stream::iter(0..pace.executions).map(async |n| {
        if let Start::Every(pause) = pace.start {
            tokio::time::sleep_until(began + pause * u32::try_from(n).unwrap_or(u32::MAX)).await;
        }
        start(client, &format!("{name}-{n}"), n).await
    });
    let at_once = match pace.start {
        Start::AtOnce(count) => count,
        Start::Every(_) => pace.executions,
    };
    starts.buffer_unordered(at_once).try_collect().await
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

/// Starts an execution, and returns its ARN and how long that took.
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
        let runs = [&self.at_ease, &self.at_once];
        let columns = runs.map(|run| run.pace.start.to_string());
        let mut table = Table::new([String::new()].into_iter().chain(columns));
        let mut row = |what: String, value: &dyn Fn(&Run) -> String| {
            let [at_ease, at_once] = runs.map(value);
            table.row([what, at_ease, at_once]);
        };
        row("notifications".to_owned(), &|run| {
            run.pace.executions.to_string()
        });
        row("started, a second".to_owned(), &|run| {
            run.a_second(run.starting)
        });
        row("delivered, a second".to_owned(), &|run| {
            run.a_second(run.whole)
        });
        row("one start by the client, ms".to_owned(), &|run| {
            run.start.to_string()
        });
        let states: BTreeSet<&String> = runs.iter().flat_map(|run| run.states.keys()).collect();
        for state in states {
            row(format!("state {state}, entered to left, ms"), &|run| {
                run.states.get(state).map_or_else(String::new, |visits| {
                    format!("{:.1}", millis(visits.time / visits.count.max(1)))
                })
            });
        }
        row(
            "one invocation as Lambda reports it, ms".to_owned(),
            &|run| {
                let invocations = u32::try_from(run.invocations).unwrap_or(u32::MAX);
                format!("{:.1}", millis(run.functions / invocations.max(1)))
            },
        );
        let mut on_a_processor = |whose: &str, time: fn(&ProcessorTime) -> Duration| {
            row(
                format!("on a processor, a notification, ms: {whose}"),
                &|run| run.each(time(&run.processor)),
            );
        };
        on_a_processor("MiniStack's", |time| time.ministack);
        on_a_processor("the functions'", |time| time.functions);
        on_a_processor("the client's and the sandbox's", |time| time.own);
        Section {
            title: "Throughput",
            note: Some(
                "Notifications to known public channels, of four states each, with Slack's limits a thousand times \
                 as wide. Starts are medians, with minimum and maximum; states and invocations are means. \
                 One environment of each function is warm. The cold starts of further environments, which \
                 more starts at a time need, are included."
                    .to_owned(),
            ),
            table,
        }
    }
}

impl Run {
    fn a_second(&self, time: Duration) -> String {
        format!(
            "{:.1}",
            number(self.pace.executions as u64) / time.as_secs_f64()
        )
    }

    fn each(&self, time: Duration) -> String {
        let executions = u32::try_from(self.pace.executions).unwrap_or(u32::MAX);
        format!("{:.1}", millis(time / executions.max(1)))
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(count) => write!(f, "{count} starts at a time"),
            Self::Every(pause) => write!(f, "one start every {} ms", pause.as_millis()),
        }
    }
}

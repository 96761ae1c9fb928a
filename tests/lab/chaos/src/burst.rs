//! Many notifications at once, without faults, with and without the rate limiter. Compares the time they take with
//! the minimum that Slack's limits allow, and counts the calls that Slack rejects.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::Visibility;
use apgl_stores::{Channel, Table as StoredTable};
use counting::{Table, aws::AwsProxy, work::by_table_and_operation};
use local_stack::{Detour, LocalStack, Project, StackOptions, Status, execution::Executions};
use slack_sandbox::{Admin, Seed, seed::ChannelSeed};
use tokio::time::{Instant, interval, sleep};

use crate::{
    Error, caller,
    dice::Dice,
    notifications::{Audience, Channels, InSlack, Notification, SlackCalls, end_of},
};

/// An execution that is not finished by then counts as failed.
const AT_MOST: Duration = Duration::from_mins(10);
/// Slack's limits: one message a second in each channel, and this many in the whole workspace.
const CHANNEL_INTERVAL: Duration = Duration::from_secs(1);
const WORKSPACE_INTERVAL: Duration = Duration::from_millis(100);
/// Slack's limit for creating channels, after an initial burst.
const CREATION_INTERVAL: Duration = Duration::from_secs(3);
const CREATION_BURST: u32 = 10;
/// Before channels that are due, one notification goes to each of this many others.
const OTHER_CHANNELS: usize = 10;
/// The table's default name.
const CHANNELS_TABLE: &str = "apgl-channels";
/// Longer than anything about a channel is trusted.
const LONG_AGO: Duration = Duration::from_hours(24);
/// After this time the calls before the burst no longer count towards any limit.
const REST: Duration = Duration::from_secs(5);

/// The channels that a burst goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Public channels that were used right before.
    Known,
    /// Private channels that the notifications create.
    New,
    /// Private channels that were not used for so long that Slack must be asked about each of them again.
    Due,
}

impl Destination {
    fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::New => "new",
            Self::Due => "due",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    pub notifications: usize,
    pub channels: usize,
    pub destination: Destination,
    /// How many executions are started each second: more than the messages that Slack takes, but no more than
    /// the local stack can run.
    pub starts_per_second: u32,
}

impl Options {
    /// The minimum time that Slack's limits allow.
    pub fn in_theory(&self) -> Duration {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let in_a_channel = count(self.notifications.div_ceil(self.channels));
        let creations = if self.destination == Destination::New {
            count(self.channels).saturating_sub(CREATION_BURST)
        } else {
            0
        };
        let in_the_last_channel = CREATION_INTERVAL * creations + CHANNEL_INTERVAL * in_a_channel;
        in_the_last_channel.max(WORKSPACE_INTERVAL * count(self.notifications))
    }
}

/// How a burst went.
#[derive(Debug, Clone)]
pub struct Drained {
    pub is_limited: bool,
    /// From the first start to the last message in Slack.
    pub time: Duration,
    pub delivered_once: usize,
    pub failed: usize,
    pub slack: SlackCalls,
    /// Calls to Slack by method.
    pub methods: BTreeMap<String, u64>,
    /// Calls to DynamoDB by table and operation.
    pub dynamodb: BTreeMap<String, u64>,
}

/// The same burst, with and without the rate limiter.
#[derive(Debug, Clone)]
pub struct Report {
    pub options: Options,
    pub drained: Vec<Drained>,
}

/// Sends the burst to one stack after another, with the rate limiter on or off according to each of `ways`.
pub async fn run(project: &Project, options: &Options, ways: &[bool]) -> Result<Report, Error> {
    let mut drained = Vec::new();
    for &is_limited in ways {
        drained.push(drain(project, options, is_limited).await?);
    }
    Ok(Report {
        options: options.clone(),
        drained,
    })
}

async fn drain(project: &Project, options: &Options, is_limited: bool) -> Result<Drained, Error> {
    let proxy = AwsProxy::start().await?;
    let stack = StackOptions {
        rate_limiter: is_limited,
        mpc_handlers: false,
        detour: Detour {
            aws_url: Some(proxy.url()),
            ..Detour::default()
        },
        ..StackOptions::new("burst")
    };
    let stack = LocalStack::start(project, stack).await?;
    proxy.forward_to(&stack.endpoints.aws, &stack.aws);
    let sandbox = stack
        .sandbox()
        .ok_or_else(|| Error::Setup("a burst needs the sandbox".to_owned()))?;
    let drained = measure(&stack, &sandbox, &proxy, options, is_limited).await;
    stack.stop().await;
    drained
}

async fn measure(
    stack: &LocalStack,
    sandbox: &Admin,
    proxy: &AwsProxy,
    options: &Options,
    is_limited: bool,
) -> Result<Drained, Error> {
    let count = match options.destination {
        Destination::Due => OTHER_CHANNELS,
        Destination::Known | Destination::New => options.channels,
    };
    let known = Audience::new("known", count, Channels::Public);
    known.settle(stack, sandbox).await?;
    // Send one to each channel first: the burst is to meet known channels and warm functions.
    let first = known.notifications("first", count);
    if send(stack, first, options.starts_per_second).await? > 0 {
        let problem = "a notification failed without any fault";
        return Err(Error::Setup(problem.to_owned()));
    }
    let audience = match options.destination {
        Destination::Known => known,
        Destination::New => Audience::new("new", options.channels, Channels::Private),
        // Only now: the first notifications have scanned Slack's channels, which confirms all of them.
        Destination::Due => {
            let due = Audience::new("due", options.channels, Channels::Private);
            remember_long_ago(stack, sandbox, &due).await?;
            due
        }
    };
    sleep(REST).await;
    sandbox.clear_calls().await?;
    proxy.take();

    let notifications = audience.notifications("burst", options.notifications);
    let began = SystemTime::now();
    let failed = send(stack, notifications.clone(), options.starts_per_second).await?;
    let in_slack = InSlack::now(sandbox).await?;
    let messages = in_slack
        .channels
        .values()
        .flat_map(|channel| &channel.messages);
    let last = messages.filter_map(|message| time_of(&message.ts)).max();
    let last = last.unwrap_or(began);
    let once = notifications
        .iter()
        .filter(|one| in_slack.copies(one) == (1, 1));
    Ok(Drained {
        is_limited,
        time: last.duration_since(began).unwrap_or_default(),
        delivered_once: once.count(),
        failed,
        slack: SlackCalls::so_far(sandbox).await?,
        methods: (sandbox.call_summary().await?.into_iter())
            .map(|(method, tally)| (method, tally.total))
            .collect(),
        dynamodb: by_table_and_operation(&proxy.take().calls)
            .into_iter()
            .map(|(operation, taken)| (operation, taken.requests))
            .collect(),
    })
}

/// Adds private channels of the bot to Slack, and to the table as Slack showed them long ago.
async fn remember_long_ago(
    stack: &LocalStack,
    sandbox: &Admin,
    audience: &Audience,
) -> Result<(), Error> {
    let channels = audience.private.iter().map(|name| ChannelSeed {
        name: name.clone(),
        is_private: true,
        created_by_bot: true,
        ..ChannelSeed::default()
    });
    let seed = Seed {
        channels: channels.collect(),
        ..Seed::default()
    };
    sandbox.seed(&seed).await?;
    let in_slack = InSlack::now(sandbox).await?;
    let shown = audience.private.iter().map(|name| Channel {
        name: name.clone(),
        id: in_slack.channels[name].id.clone(),
        visibility: Visibility::Private,
        archived: false,
        externally_shared: false,
        ours: Some(true),
        confirmed_at: SystemTime::now() - LONG_AGO,
    });
    let shown: Vec<_> = shown.collect();
    let client = aws_sdk_dynamodb::Client::new(&stack.aws);
    let table = StoredTable::new(client, CHANNELS_TABLE.to_owned());
    let remembered = apgl_stores::Channels::new(table).remember_all(&shown).await;
    remembered.map_err(|error| Error::Setup(error.to_string()))
}

/// Starts the notifications one after another, waits for all of them, and returns how many failed.
async fn send(
    stack: &LocalStack,
    notifications: Vec<Notification>,
    starts_per_second: u32,
) -> Result<usize, Error> {
    let client = caller::client(&stack.aws)?;
    let executions = Executions::new(&stack.aws);
    let dice = Dice::new(0);
    let deadline = Instant::now() + AT_MOST;
    let mut ticks = interval(Duration::from_secs(1) / starts_per_second);
    let mut starts = Vec::with_capacity(notifications.len());
    for notification in notifications {
        ticks.tick().await;
        let (client, dice) = (client.clone(), dice.clone());
        starts.push(tokio::spawn(async move {
            caller::start(&client, &notification.event(), &dice).await
        }));
    }
    let mut failed = 0;
    for start in starts {
        let arn = start
            .await
            .map_err(|error| Error::Setup(error.to_string()))?;
        let arn = arn.map_err(|error| Error::Setup(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let execution = end_of(&executions, &arn, left).await?;
        failed += usize::from(execution.is_none_or(|e| e.status != Status::Succeeded));
    }
    Ok(failed)
}

/// The time at which Slack took the message with this `ts`.
fn time_of(ts: &str) -> Option<SystemTime> {
    let seconds = ts.parse().ok()?;
    Some(UNIX_EPOCH + Duration::try_from_secs_f64(seconds).ok()?)
}

/// The limits for a burst with the rate limiter: its time as a multiple of the theoretical minimum, and the share
/// of calls that Slack rejects.
const TIMES_THE_THEORY: f64 = 1.05;
const TIMES_THE_THEORY_IN_OTHER_CHANNELS: f64 = 2.0;
const REJECTED_SHARE: f64 = 0.02;

impl Report {
    /// The promises that the run has broken.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for drained in self.drained.iter().filter(|drained| drained.is_limited) {
            if drained.delivered_once != self.options.notifications {
                problems.push("not every notification was delivered once".to_owned());
            }
            let times = drained.time.as_secs_f64() / self.options.in_theory().as_secs_f64();
            let allowed = match self.options.destination {
                Destination::Known => TIMES_THE_THEORY,
                Destination::New | Destination::Due => TIMES_THE_THEORY_IN_OTHER_CHANNELS,
            };
            if times > allowed {
                problems.push(format!(
                    "it took more than {allowed} times the theoretical minimum"
                ));
            }
            if drained.rejected_share() > REJECTED_SHARE {
                problems.push("more than 2 % of the calls were rejected".to_owned());
            }
        }
        problems
    }
}

impl Drained {
    /// The share of the calls to Slack that a limit rejected.
    #[expect(clippy::cast_precision_loss, reason = "a percentage for a person")]
    pub fn rejected_share(&self) -> f64 {
        self.slack.rejected as f64 / self.slack.total.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_theory = self.options.in_theory();
        writeln!(
            f,
            "  {} notifications to {} {} channels, {} a second: at least {} s by Slack's limits\n",
            self.options.notifications,
            self.options.channels,
            self.options.destination.as_str(),
            self.options.starts_per_second,
            in_theory.as_secs()
        )?;
        let mut table = Table::new([
            "",
            "time",
            "times the minimum",
            "delivered once",
            "failed",
            "Slack calls",
            "rejected",
            "of all calls",
        ]);
        for drained in &self.drained {
            let name = if drained.is_limited {
                "with the limiter"
            } else {
                "without the limiter"
            };
            table.row([
                name.to_owned(),
                format!("{:.1} s", drained.time.as_secs_f64()),
                format!(
                    "{:.2}",
                    drained.time.as_secs_f64() / in_theory.as_secs_f64()
                ),
                drained.delivered_once.to_string(),
                drained.failed.to_string(),
                drained.slack.total.to_string(),
                drained.slack.rejected.to_string(),
                format!("{:.1} %", 100.0 * drained.rejected_share()),
            ]);
        }
        writeln!(f, "{table}")?;
        let by_method = self.compared("Slack", |drained| &drained.methods);
        let by_operation = self.compared("DynamoDB", |drained| &drained.dynamodb);
        write!(f, "{by_method}\n{by_operation}")
    }
}

impl Report {
    /// A table of counts, with the rate limiter and without it.
    fn compared(&self, what: &str, counts: impl Fn(&Drained) -> &BTreeMap<String, u64>) -> Table {
        let mut table = Table::new([what, "with the limiter", "without the limiter"]);
        let names: BTreeSet<_> = self
            .drained
            .iter()
            .flat_map(|one| counts(one).keys())
            .collect();
        for name in names {
            let count = |is_limited| {
                let drained = self.drained.iter().find(|one| one.is_limited == is_limited);
                drained.map_or(String::new(), |one| {
                    counts(one)
                        .get(name)
                        .copied()
                        .unwrap_or_default()
                        .to_string()
                })
            };
            table.row([name.clone(), count(true), count(false)]);
        }
        table
    }
}

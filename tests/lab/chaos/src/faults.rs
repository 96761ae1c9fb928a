//! Notifications under faults at every seam, and what became of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use counting::Table;
use local_stack::{
    App, Detour, Execution, LocalStack, Project, StackOptions, Status, execution::Executions,
};
use slack_sandbox::{Admin, chaos::Chaos};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use crate::{
    Error,
    aws::FaultyAws,
    caller,
    dice::{Dice, Seam, Tally},
    lambda::{INVOCATION_FAULTS_URL, InvocationFaults, put_in_front},
    notifications::{Audience, Channels, InSlack, Notification, SlackCalls, end_of},
};

/// An execution that has not ended by then counts as lost.
const AT_MOST: Duration = Duration::from_mins(30);
const REDRIVES: usize = 5;
/// Copies of invocations can run until their timeout, and Slack can process their requests even later.
const LAST_WORDS: Duration = Duration::from_secs(75);
/// A run that delivers less than this share proves nothing about deliveries.
const DELIVERED_SHARE: f64 = 0.9;
/// The share of the calls at a seam that must fail for the run to be valid, once the seam has had this many calls.
const FAULTS_SHARE: f64 = 0.15;
const ENOUGH_CALLS: u64 = 2_000;

#[derive(Debug, Clone)]
pub struct Options {
    pub executions: usize,
    pub channels: usize,
    pub seed: u64,
    /// The share of the calls at each seam that fail.
    pub rate: f64,
    pub seams: BTreeSet<Seam>,
    /// How many executions run at once.
    pub concurrency: usize,
    pub wait_scale: f64,
}

/// What became of the notifications. Each one counts once.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub executions: usize,
    /// The execution succeeded, and the message is where it belongs exactly once.
    pub delivered_once: usize,
    /// The message is in Slack more than once, in any channel.
    pub delivered_twice: usize,
    /// The message is not where it belongs, and no failed execution reports that.
    pub lost: usize,
    /// The execution failed with an error, and a redrive delivered the message once. The number by error.
    pub redriven: BTreeMap<String, usize>,
    pub slack: SlackCalls,
    pub seams: BTreeMap<Seam, Tally>,
    pub time: Duration,
}

impl Report {
    /// The promises that the run has broken, and the reasons why the run is not valid.
    pub fn problems(&self, options: &Options) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        expect(self.lost == 0, format!("{} were lost", self.lost));
        let twice = self.delivered_twice;
        expect(twice == 0, format!("{twice} were delivered twice"));
        let share = share(self.delivered_once as u64, self.executions as u64);
        expect(
            share >= DELIVERED_SHARE,
            format!("only {:.0} % were delivered", 100.0 * share),
        );
        for seam in &options.seams {
            let (calls, faults) = self.calls_and_faults(*seam);
            expect(calls > 0, format!("there was no call at the seam {seam}"));
            expect(
                calls < ENOUGH_CALLS
                    || options.rate < FAULTS_SHARE
                    || self::share(faults, calls) >= FAULTS_SHARE,
                format!("only {faults} of {calls} calls failed at the seam {seam}"),
            );
        }
        problems
    }

    pub fn redriven_count(&self) -> usize {
        self.redriven.values().sum()
    }

    fn calls_and_faults(&self, seam: Seam) -> (u64, u64) {
        if seam == Seam::Slack {
            return (self.slack.total, self.slack.faults.values().sum());
        }
        let tally = self.seams.get(&seam);
        tally.map_or((0, 0), |tally| (tally.calls, tally.fault_count()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for a person")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A stack with faults at every seam, until it is stopped.
struct World {
    stack: LocalStack,
    sandbox: Admin,
    dice: Dice,
    // The servers run until they are dropped.
    _proxy: FaultyAws,
    _invocation_faults: InvocationFaults,
}

/// A notification and the execution that was started for it.
struct Sent {
    notification: Notification,
    arn: String,
    /// `None` if it never ended.
    execution: Option<Execution>,
}

/// Does the run. `chaos-bootstrap` and the functions must be built before.
pub async fn run(project: &Project, options: &Options) -> Result<Report, Error> {
    let world = World::start(project, options).await?;
    let report = world.measure(options).await;
    let log = project.logs().join("chaos-functions.log");
    if let Err(error) = world.stack.save_function_logs(&log).await {
        eprintln!("  can't save the functions' log lines: {error}");
    }
    world.stack.stop().await;
    report
}

impl World {
    async fn start(project: &Project, options: &Options) -> Result<Self, Error> {
        let dice = Dice::new(options.seed);
        let proxy = FaultyAws::start(dice.clone()).await?;
        let invocation_faults = InvocationFaults::start(dice.clone()).await?;
        let stack = StackOptions {
            wait_scale: options.wait_scale,
            mpc_handlers: false,
            detour: Detour {
                aws_url: Some(proxy.url()),
                environment: vec![
                    (INVOCATION_FAULTS_URL, invocation_faults.url()),
                    // A MiniStack setting: idle environments cost it time, and kills leave many of them.
                    ("LAMBDA_WARM_TTL_SECONDS", "30".to_owned()),
                ],
            },
            app: Some(App {
                functions: put_in_front(project)?,
                ..App::of(project)
            }),
            ..StackOptions::new("chaos")
        };
        let stack = LocalStack::start(project, stack).await?;
        proxy.forward_to(&stack.endpoints.aws);
        let sandbox = stack
            .sandbox()
            .ok_or_else(|| Error::Setup("the fault suite needs the sandbox".to_owned()))?;
        Ok(Self {
            stack,
            sandbox,
            dice,
            _proxy: proxy,
            _invocation_faults: invocation_faults,
        })
    }

    async fn measure(&self, options: &Options) -> Result<Report, Error> {
        let run = format!("run{}", options.seed);
        let audience = Audience::new(&run, options.channels, Channels::Mixed);
        audience.settle(&self.stack, &self.sandbox).await?;
        let notifications = audience.notifications(&run, options.executions);

        let began = Instant::now();
        self.begin_faults(options).await?;
        let sent = self.send_all(notifications, options.concurrency).await?;
        let time = began.elapsed();
        self.sandbox.end_chaos().await?;
        self.dice.end();

        let mut report = Report {
            executions: sent.len(),
            slack: SlackCalls::so_far(&self.sandbox).await?,
            seams: self.dice.tallies(),
            time,
            ..Report::default()
        };
        sleep(LAST_WORDS).await;
        let redriven = self.redrive(&sent).await?;
        let in_slack = InSlack::now(&self.sandbox).await?;
        for one in &sent {
            report.count(one, redriven.get(&one.arn).copied(), &in_slack);
        }
        Ok(report)
    }

    async fn begin_faults(&self, options: &Options) -> Result<(), Error> {
        self.sandbox.clear_calls().await?;
        if options.seams.contains(&Seam::Slack) {
            let chaos = Chaos::new(options.seed, options.rate);
            self.sandbox.begin_chaos(&chaos).await?;
        }
        self.dice.begin(options.seams.iter().copied(), options.rate);
        Ok(())
    }

    /// Starts all notifications, `concurrency` at a time, and waits for them to end.
    async fn send_all(
        &self,
        notifications: Vec<Notification>,
        concurrency: usize,
    ) -> Result<Vec<Sent>, Error> {
        let permits = Arc::new(Semaphore::new(concurrency));
        let client = caller::client(&self.stack.aws)?;
        let executions = Executions::new(&self.stack.aws);
        let mut tasks = Vec::with_capacity(notifications.len());
        for notification in notifications {
            let Ok(permit) = permits.clone().acquire_owned().await else {
                break;
            };
            let (client, executions, dice) =
                (client.clone(), executions.clone(), self.dice.clone());
            tasks.push(tokio::spawn(async move {
                let arn = caller::start(&client, &notification, &dice)
                    .await
                    .map_err(|error| Error::Setup(error.to_string()))?;
                let execution = end_of(&executions, &arn, AT_MOST).await?;
                drop(permit);
                Ok::<_, Error>(Sent {
                    notification,
                    arn,
                    execution,
                })
            }));
        }
        let mut sent = Vec::with_capacity(tasks.len());
        for task in tasks {
            let one = task
                .await
                .map_err(|error| Error::Setup(error.to_string()))?;
            sent.push(one?);
        }
        Ok(sent)
    }

    /// Redrives each failed execution, whether its message is in Slack or not. Returns whether each redrive
    /// succeeded, by ARN.
    async fn redrive(&self, sent: &[Sent]) -> Result<BTreeMap<String, bool>, Error> {
        let executions = Executions::new(&self.stack.aws);
        let mut redriven = BTreeMap::new();
        for one in sent.iter().filter(|one| one.error().is_some()) {
            let succeeded = redrive_until_it_succeeds(&executions, &one.arn).await?;
            redriven.insert(one.arn.clone(), succeeded);
        }
        Ok(redriven)
    }
}

async fn redrive_until_it_succeeds(executions: &Executions, arn: &str) -> Result<bool, Error> {
    for _ in 0..REDRIVES {
        executions.redrive(arn).await?;
        let ended = end_of(executions, arn, AT_MOST).await?;
        if ended.is_some_and(|execution| execution.status == Status::Succeeded) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Sent {
    /// The error of a failed execution.
    fn error(&self) -> Option<&str> {
        let execution = self.execution.as_ref()?;
        match execution.status {
            Status::Failed => execution.error.as_deref().filter(|error| !error.is_empty()),
            Status::TimedOut => Some("States.Timeout"),
            _ => None,
        }
    }

    fn has_succeeded(&self) -> bool {
        let execution = self.execution.as_ref();
        execution.is_some_and(|execution| execution.status == Status::Succeeded)
    }
}

impl Report {
    /// `redriven` is whether a redrive succeeded, if there was one.
    fn count(&mut self, one: &Sent, redriven: Option<bool>, in_slack: &InSlack) {
        let (here, anywhere) = in_slack.copies(&one.notification);
        if anywhere > 1 {
            self.delivered_twice += 1;
        } else if one.has_succeeded() && here == 1 {
            self.delivered_once += 1;
        } else if let Some(error) = one.error()
            && redriven == Some(true)
            && here == 1
        {
            *self.redriven.entry(error.to_owned()).or_default() += 1;
        } else {
            self.lost += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "executions",
            "delivered once",
            "delivered twice",
            "lost",
            "failed and redriven",
            "Slack calls",
            "rejected by a limit",
            "time",
        ]);
        table.row([
            self.executions.to_string(),
            self.delivered_once.to_string(),
            self.delivered_twice.to_string(),
            self.lost.to_string(),
            self.redriven_count().to_string(),
            self.slack.total.to_string(),
            self.slack.rejected.to_string(),
            format!("{} s", self.time.as_secs()),
        ]);
        write!(f, "{table}")?;
        for (error, count) in &self.redriven {
            writeln!(f, "  {count} failed with {error} and were redriven")?;
        }
        let mut seams = Table::new(["seam", "calls", "faults", "", "of which"]);
        let percent = |faults, calls| format!("{:.0} %", 100.0 * share(faults, calls));
        let kinds = |kinds: &mut dyn Iterator<Item = (String, u64)>| {
            let kinds: Vec<_> = kinds
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            kinds.join(", ")
        };
        for (seam, tally) in &self.seams {
            let faults = tally.fault_count();
            let mut by_kind = tally
                .faults
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), *count));
            seams.row([
                seam.to_string(),
                tally.calls.to_string(),
                faults.to_string(),
                percent(faults, tally.calls),
                kinds(&mut by_kind),
            ]);
        }
        let faults: u64 = self.slack.faults.values().sum();
        let mut by_kind = self
            .slack
            .faults
            .iter()
            .map(|(kind, count)| (kind.clone(), *count));
        seams.row([
            Seam::Slack.to_string(),
            self.slack.total.to_string(),
            faults.to_string(),
            percent(faults, self.slack.total),
            kinds(&mut by_kind),
        ]);
        write!(f, "\n{seams}")
    }
}

//! Notifications under faults at every seam.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use apgl_client::Operation;
use local_stack::{
    App, Detour, Execution, LocalStack, Project, StackOptions, Status, execution::Executions,
};
use slack_sandbox::{Admin, chaos::Chaos};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Error,
    aws::FaultyAws,
    caller,
    dice::{Dice, Seam},
    lambda::{INVOCATION_FAULTS_URL, InvocationFaults, put_in_front},
    notifications::{Audience, Channels, Notification, SlackCalls, end_of},
    people::People,
    places::{Evidence, Messages},
    report::Report,
};

/// An execution that has not ended by then counts as lost.
const AT_MOST: Duration = Duration::from_mins(30);
const REDRIVES: usize = 5;
/// Copies of invocations can run until their timeout, and Slack can process their requests even later.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(75);
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
    /// How long the deployment trusts what Slack has confirmed of a channel.
    pub channel_trust: Duration,
}

/// A stack with faults at every seam, until it is stopped.
pub(crate) struct World {
    pub stack: LocalStack,
    pub sandbox: Admin,
    pub dice: Dice,
    pub people: People,
    // The servers run until they are dropped.
    _proxy: FaultyAws,
    _invocation_faults: InvocationFaults,
}

/// A notification and the execution that was started for it.
pub(crate) struct Sent {
    notification: Notification,
    arn: String,
    /// `None` if it never ended.
    execution: Option<Execution>,
}

/// Does the run. `chaos-bootstrap` and the functions must be built before.
pub async fn run(project: &Project, options: &Options) -> Result<Report, Error> {
    let channel_trust = options.channel_trust.as_secs().to_string();
    let stack = StackOptions {
        wait_scale: options.wait_scale,
        context: vec![("channelTrustSeconds".to_owned(), channel_trust)],
        ..StackOptions::new("chaos")
    };
    let world = World::start(project, options.seed, stack).await?;
    let report = world.measure(options).await;
    world.stop(project, "chaos").await;
    report
}

impl World {
    /// Starts this stack with everything in it that can cause faults.
    pub(crate) async fn start(
        project: &Project,
        seed: u64,
        stack: StackOptions,
    ) -> Result<Self, Error> {
        let dice = Dice::new(seed);
        let proxy = FaultyAws::start(dice.clone()).await?;
        let people = People::new(dice.clone());
        let invocation_faults = InvocationFaults::start(dice.clone(), people.clone()).await?;
        let stack = StackOptions {
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
            ..stack
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
            people,
            _proxy: proxy,
            _invocation_faults: invocation_faults,
        })
    }

    async fn measure(&self, options: &Options) -> Result<Report, Error> {
        let run = format!("run{}", options.seed);
        let audience = Audience::new(&run, options.channels, Channels::Mixed);
        audience.settle(&self.stack, &self.sandbox).await?;
        self.people.begin(&self.sandbox, &audience.people).await;
        let notifications = audience.notifications(&run, options.executions).into_iter();
        let notifications = notifications.enumerate();
        let notifications: Vec<_> = notifications
            .map(|(n, notification)| notification.with_notice(n, &audience.people))
            .collect();

        let began = Instant::now();
        self.begin_faults(options.seed, options.rate, &options.seams)
            .await?;
        let sent = self.send_all(notifications, options.concurrency).await?;
        let time = began.elapsed();
        self.end_faults().await?;
        self.people.wait_until_undone().await;

        let mut report = Report {
            executions: sent.len(),
            slack: SlackCalls::so_far(&self.sandbox).await?,
            seams: self.dice.tallies(),
            changes: self.people.made().await,
            time,
            ..Report::default()
        };
        sleep(LAST_WORDS).await;
        let redriven = self.redrive(&sent, options.concurrency).await?;
        let evidence = Evidence::new(
            &self.sandbox.calls().await?,
            self.people.posting().await,
            options.channel_trust,
        );
        let messages = Messages::of(self.sandbox.channels().await?);
        let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
        for one in &sent {
            let Notification {
                channel,
                text,
                number,
                ..
            } = &one.notification;
            if let Some(number) = number.filter(|_| messages.has(text)) {
                let highest = highest.entry(channel).or_default();
                *highest = number.max(*highest);
            }
        }
        for one in &sent {
            let places = messages.places(&one.notification, &one.arn, &evidence);
            let redriven = redriven.get(&one.arn);
            report.count(one, redriven, &places);
            report.sent_late += usize::from(evidence.was_sent_late(&one.notification));
            let later = highest.get(one.notification.channel.as_str()).copied();
            let is_superseded = one.not_posted(redriven) == Some(NotPosted::Superseded);
            report.superseded_by_none +=
                usize::from(is_superseded && one.notification.number > later);
        }
        let numbers = sent.iter().filter_map(|one| {
            let Notification { text, number, .. } = &one.notification;
            Some((text.as_str(), (*number)?))
        });
        report.out_of_sequence = messages.out_of_sequence(&numbers.collect());
        Ok(report)
    }

    pub(crate) async fn begin_faults(
        &self,
        seed: u64,
        rate: f64,
        seams: &BTreeSet<Seam>,
    ) -> Result<(), Error> {
        self.sandbox.clear_calls().await?;
        if seams.contains(&Seam::Slack) {
            self.sandbox.begin_chaos(&Chaos::new(seed, rate)).await?;
        }
        self.dice.begin(seams.iter().copied(), rate);
        Ok(())
    }

    pub(crate) async fn end_faults(&self) -> Result<(), Error> {
        self.sandbox.end_chaos().await?;
        self.dice.end();
        Ok(())
    }

    /// Stops everything, and saves the functions' log lines under this name.
    pub(crate) async fn stop(self, project: &Project, name: &str) {
        let log = project.logs().join(format!("{name}-functions.log"));
        if let Err(error) = self.stack.save_function_logs(&log).await {
            eprintln!("  can't save the functions' log lines: {error}");
        }
        self.stack.stop().await;
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
                let notification = notification.started();
                let arn = caller::start(&client, &notification.event(), &dice)
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

    /// Redrives each failed execution, whether its message is in Slack or not. Returns those that then succeeded, by
    /// ARN.
    async fn redrive(
        &self,
        sent: &[Sent],
        concurrency: usize,
    ) -> Result<BTreeMap<String, Execution>, Error> {
        let permits = Arc::new(Semaphore::new(concurrency));
        let mut tasks = JoinSet::new();
        for one in sent.iter().filter(|one| one.error().is_some()) {
            let (permits, arn) = (permits.clone(), one.arn.clone());
            let executions = Executions::new(&self.stack.aws);
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                let succeeded = redrive_until_it_succeeds(&executions, &arn).await?;
                Ok::<_, Error>(succeeded.map(|execution| (arn, execution)))
            });
        }
        let ended = tasks.join_all().await.into_iter();
        ended.filter_map(Result::transpose).collect()
    }
}

async fn redrive_until_it_succeeds(
    executions: &Executions,
    arn: &str,
) -> Result<Option<Execution>, Error> {
    for _ in 0..REDRIVES {
        executions.redrive(arn).await?;
        let ended = end_of(executions, arn, AT_MOST).await?;
        let succeeded = ended.filter(|execution| execution.status == Status::Succeeded);
        if succeeded.is_some() {
            return Ok(succeeded);
        }
    }
    Ok(None)
}

impl Sent {
    /// The error of a failed execution.
    pub(crate) fn error(&self) -> Option<&str> {
        let execution = self.execution.as_ref()?;
        match execution.status {
            Status::Failed => execution.error.as_deref().filter(|error| !error.is_empty()),
            Status::TimedOut => Some("States.Timeout"),
            _ => None,
        }
    }

    /// The execution, if it succeeded.
    pub(crate) fn succeeded(&self) -> Option<&Execution> {
        let execution = self.execution.as_ref();
        execution.filter(|execution| execution.status == Status::Succeeded)
    }

    /// Why its outcome says that nothing was posted, if the notification allows it. `redriven` is the execution after a
    /// redrive that succeeded.
    pub(crate) fn not_posted(&self, redriven: Option<&Execution>) -> Option<NotPosted> {
        let outcome = &redriven.or(self.succeeded())?.output;
        let message = &outcome["message"];
        let is_skipped = outcome["skipped"]
            .as_array()
            .is_some_and(|skipped| !skipped.is_empty());
        if message["expired"] == true && self.notification.expires_at.is_some() {
            Some(NotPosted::Expired)
        } else if message["superseded"] == true && self.notification.number.is_some() {
            Some(NotPosted::Superseded)
        } else {
            let to_person = self.notification.operation == Operation::NotifyPerson;
            (is_skipped && to_person).then_some(NotPosted::Skipped)
        }
    }
}

/// Why an outcome says that nothing was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotPosted {
    Expired,
    Superseded,
    /// The person could not be found: people change their addresses.
    Skipped,
}

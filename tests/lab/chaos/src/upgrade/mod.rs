//! Deploys a new version while executions of the previous one run and callers start more.
//!
//! | module | does |
//! |---|---|
//! | `items` | items whose cards and reminders meet both versions |
//! | `script` | their versions, and what people are to be reminded of |

mod items;
mod script;

use std::{fmt, time::Duration};

use apgl_client::Client;
use aws_types::SdkConfig;
use local_stack::{
    App, LocalStack, Project, StackOptions, Status, execution::Executions, function_logs,
    leftovers::leftovers,
};
use slack_sandbox::{
    Admin,
    faults::{Effect, Fault, How},
};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    time::{Instant, interval, sleep},
};

pub use self::items::ItemsReport;
use self::items::OpenItems;
use crate::{
    Error, caller,
    dice::Dice,
    notifications::{Audience, Channels, InSlack, Notification, end_of},
};

/// An execution that is not finished by then counts as failed.
const AT_MOST: Duration = Duration::from_mins(10);
/// A channel takes one message a second, but gets two.
const CHANNELS: usize = 5;
const NOTIFICATIONS: usize = 400;
const STARTS_PER_SECOND: u32 = 10;
/// Messages that the previous functions post without getting Slack's answer.
const IN_DOUBT: usize = 5;
/// How long callers start executions before the update begins.
const HEAD_START: Duration = Duration::from_secs(14);
/// The `Retry-After` of calls that are held back, in seconds.
const RETRY_AFTER: u64 = 2;

/// How an update went.
#[derive(Debug, Clone)]
pub struct Report {
    pub notifications: usize,
    /// How long `cdk deploy` took.
    pub update: Duration,
    /// Executions that started before the update and were still running when it finished.
    pub outlasted: usize,
    /// Of these, the executions whose message the previous functions had posted without getting Slack's answer.
    pub in_doubt: usize,
    /// Messages in doubt that are in Slack once, and that the execution reports as posted already.
    pub found_again: usize,
    /// Executions that started during or after the update.
    pub started_later: usize,
    pub failed: usize,
    pub delivered_once: usize,
    pub items: ItemsReport,
    /// The log lines of functions that an operator would have to act on.
    pub error_lines: Vec<String>,
    /// Resources that remain after the stack has been destroyed.
    pub leftovers: Vec<String>,
}

/// Deploys `previous` to an empty account, updates it to this checkout, and destroys it.
pub async fn run(project: &Project, previous: &App) -> Result<Report, Error> {
    let options = StackOptions {
        app: Some(previous.clone()),
        ..StackOptions::new("upgrade")
    };
    let mut stack = LocalStack::start(project, options).await?;
    let mut report = update(&mut stack, project).await?;
    stack.destroy().await?;
    report.leftovers = leftovers(project, &stack.endpoints.aws).await?;
    stack.stop().await;
    Ok(report)
}

async fn update(stack: &mut LocalStack, project: &Project) -> Result<Report, Error> {
    let sandbox = stack
        .sandbox()
        .ok_or_else(|| Error::Setup("an upgrade needs the sandbox".to_owned()))?;
    let audience = Audience::new("upgrade", CHANNELS, Channels::Mixed);
    audience.settle(stack, &sandbox).await?;
    hold(&sandbox, &audience.public[0], "chat.postMessage").await?;
    let doubtful = Audience::new("doubtful", 1, Channels::Public);
    doubtful.settle(stack, &sandbox).await?;
    lose_answers(&sandbox, &doubtful.public[0]).await?;
    let mut items = OpenItems::settle(stack, &sandbox, &audience.people).await?;
    items.begin().await?;
    // The first executions are those in doubt.
    let in_doubt = doubtful.notifications("doubtful", IN_DOUBT);
    let others = audience.notifications("upgrade", NOTIFICATIONS);
    let notifications = [in_doubt.clone(), others].concat();

    let client = caller::client(&stack.aws)?;
    let executions = Executions::new(&stack.aws);
    let (started, mut starts) = mpsc::unbounded_channel();
    let starting = tokio::spawn(start_all(client, notifications.clone(), started));
    sleep(HEAD_START).await;
    wait_until_posted(&sandbox, &in_doubt).await?;
    items.open().await?;
    let mut arns = Vec::new();
    while let Ok(arn) = starts.try_recv() {
        arns.push(arn);
    }
    let before = arns.len();
    let update = async {
        let began = Instant::now();
        stack.update(&App::of(project)).await?;
        Ok(began.elapsed())
    };
    let (update, ()) = tokio::try_join!(update, items.meanwhile())?;
    let mut outlasted = Vec::new();
    for arn in &arns {
        let status = executions.describe(arn).await?.status;
        outlasted.push(status == Status::Running);
    }
    items.look_at_outlasted().await?;
    sandbox.clear_faults().await?;

    starting
        .await
        .map_err(|error| Error::Setup(error.to_string()))??;
    while let Ok(arn) = starts.try_recv() {
        arns.push(arn);
    }
    let deadline = Instant::now() + AT_MOST;
    let mut succeeded = Vec::new();
    for arn in &arns {
        let left = deadline.saturating_duration_since(Instant::now());
        let execution = end_of(&executions, arn, left).await?;
        succeeded.push(execution.filter(|e| e.status == Status::Succeeded));
    }
    let items = items.after().await?;
    let in_slack = InSlack::now(&sandbox).await?;
    let is_there_once = |one: &Notification| in_slack.copies(one) == (1, 1);
    let found_again = in_doubt.iter().zip(&succeeded).filter(|(one, execution)| {
        let execution = execution.as_ref();
        let was_found = execution.is_some_and(|e| e.output["message"]["duplicate"] == true);
        was_found && is_there_once(one)
    });
    Ok(Report {
        notifications: notifications.len(),
        update,
        outlasted: count(&outlasted),
        in_doubt: count(&outlasted[..IN_DOUBT.min(before)]),
        found_again: found_again.count(),
        started_later: arns.len() - before,
        failed: succeeded.iter().filter(|one| one.is_none()).count(),
        delivered_once: notifications
            .iter()
            .filter(|one| is_there_once(one))
            .count(),
        items,
        error_lines: error_lines(&stack.aws).await?,
        leftovers: Vec::new(),
    })
}

fn count(those: &[bool]) -> usize {
    those.iter().filter(|one| **one).count()
}

async fn error_lines(aws: &SdkConfig) -> Result<Vec<String>, Error> {
    let mut lines = function_logs(aws).await?;
    lines.retain(|line| line.contains(r#""level":"ERROR""#));
    Ok(lines)
}

/// Makes Slack refuse these calls for this channel for now, so that executions started for it before an update are
/// still running after it, however long it takes.
async fn hold(sandbox: &Admin, channel: &str, method: &str) -> Result<(), Error> {
    let refused = How::RateLimited {
        retry_after: RETRY_AFTER,
    };
    add_fault(sandbox, channel, method, refused).await
}

/// Makes Slack take messages in this channel without answering, and keeps executions from finding them for now.
async fn lose_answers(sandbox: &Admin, channel: &str) -> Result<(), Error> {
    let lost = How::Reset {
        effect: Effect::Done,
    };
    add_fault(sandbox, channel, "chat.postMessage", lost).await?;
    hold(sandbox, channel, "conversations.history").await
}

async fn add_fault(sandbox: &Admin, channel: &str, method: &str, how: How) -> Result<(), Error> {
    let found = sandbox.channel(channel).await?;
    let channel = found.ok_or_else(|| Error::Setup(format!("Slack has no {channel}")))?;
    let fault = Fault::new(method, how).only_where("channel", &channel.id);
    Ok(sandbox.add_fault(&fault).await?)
}

/// Waits until Slack has all of these messages.
async fn wait_until_posted(sandbox: &Admin, notifications: &[Notification]) -> Result<(), Error> {
    let deadline = Instant::now() + AT_MOST;
    loop {
        let in_slack = InSlack::now(sandbox).await?;
        let posted = notifications
            .iter()
            .filter(|one| in_slack.copies(one).0 > 0);
        let posted = posted.count();
        if posted == notifications.len() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let problem = format!("only {posted} messages are in doubt before the update");
            return Err(Error::Setup(problem));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Starts the notifications one after another, and sends each execution's ARN to `started`.
async fn start_all(
    client: Client,
    notifications: Vec<Notification>,
    started: UnboundedSender<String>,
) -> Result<(), Error> {
    let dice = Dice::new(0);
    let mut ticks = interval(Duration::from_secs(1) / STARTS_PER_SECOND);
    for notification in notifications {
        ticks.tick().await;
        let arn = caller::start(&client, &notification.event(), &dice).await;
        let arn = arn.map_err(|error| Error::Setup(error.to_string()))?;
        // Nobody receives any more if the run has failed.
        let _ = started.send(arn);
    }
    Ok(())
}

impl Report {
    /// The promises that the run has broken.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.failed > 0 {
            problems.push(format!("{} executions failed", self.failed));
        }
        if self.delivered_once != self.notifications {
            let missed = self.notifications - self.delivered_once;
            problems.push(format!("{missed} notifications were not delivered once"));
        }
        let (in_doubt, found) = (self.in_doubt, self.found_again);
        if in_doubt != IN_DOUBT || found != IN_DOUBT {
            problems.push(format!(
                "of {IN_DOUBT} messages, {in_doubt} were in doubt during the update and {found} were found again once"
            ));
        }
        if self.outlasted == 0 || self.started_later == 0 {
            problems.push("no execution was running during the update".to_owned());
        }
        problems.extend(self.items.problems());
        let errors = self.error_lines.iter();
        problems.extend(errors.map(|line| format!("an error was logged: {line}")));
        let leftovers = self.leftovers.iter();
        problems.extend(leftovers.map(|left| format!("left behind: {left}")));
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "update                          {:>6.1} s",
            self.update.as_secs_f64()
        )?;
        let notifications = [
            ("notifications", self.notifications),
            ("  ran before and after it", self.outlasted),
            ("    in doubt during the update", self.in_doubt),
            ("    found again, once", self.found_again),
            ("  started during or after it", self.started_later),
            ("  failed", self.failed),
            ("  delivered once", self.delivered_once),
        ];
        let rest = [
            ("errors logged", self.error_lines.len()),
            ("left after destroying", self.leftovers.len()),
        ];
        let lines = notifications.into_iter().chain(self.items.lines());
        for (what, count) in lines.chain(rest) {
            writeln!(f, "{what:<31} {count:>6}")?;
        }
        Ok(())
    }
}

//! The six operations.

use std::{
    fmt::Write,
    fs,
    io::{Read, stdin},
    path::{Path, PathBuf},
    time::Duration,
};

use apgl_client::{
    ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Execution, Message,
    NotifyPrivateChannel, NotifyPublicChannel, Operation as Workflow, StartError, Visibility,
    WaitError, outcome::Outcome,
};
use apgl_contract::{ChannelRef, Email, request::CheckedRequest};
use clap::{ArgGroup, Args, Subcommand, builder::NonEmptyStringValueParser};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    advice::{advice, status_error},
    deployment::{Deployment, Target, name_of},
    report::{BAD, Exit, FAINT, Failure, GOOD, Report, styled},
};

#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Creates a channel, or invites the members that are not in it yet.
    CreateChannel(CreateChannelArguments),
    /// Posts to a private channel, which is created if it does not exist.
    NotifyPrivate(NotifyPrivateArguments),
    /// Posts to a public channel, which must exist.
    NotifyPublic(NotifyPublicArguments),
    /// Invites and removes members of a channel.
    ChangeMembers(ChangeMembersArguments),
    /// Checks whether the bot sees a channel with this name. Waits for the answer.
    CheckChannel(CheckChannelArguments),
    /// Renames and archives a channel, so that its name is free again.
    DeleteChannel(DeleteChannelArguments),
}

#[derive(Debug, Args)]
pub struct CreateChannelArguments {
    /// The channel's name.
    channel: String,
    /// Makes the channel public instead of private.
    #[arg(long)]
    public: bool,
    /// A person who should be in the channel. Can be repeated.
    #[arg(long = "member", value_name = "EMAIL")]
    members: Vec<String>,
    /// What the channel is about right now.
    #[arg(long)]
    topic: Option<String>,
    /// What the channel is for.
    #[arg(long)]
    purpose: Option<String>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
pub struct NotifyPrivateArguments {
    /// The channel's name.
    channel: String,
    #[command(flatten)]
    message: MessageArguments,
    /// A person who should be in the channel. Can be repeated.
    #[arg(long = "member", value_name = "EMAIL")]
    members: Vec<String>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
pub struct NotifyPublicArguments {
    /// The channel's name.
    channel: String,
    #[command(flatten)]
    message: MessageArguments,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").args(["add", "remove"]).required(true).multiple(true))]
pub struct ChangeMembersArguments {
    /// The channel's name.
    channel: String,
    /// A person to invite. Can be repeated.
    #[arg(long, value_name = "EMAIL")]
    add: Vec<String>,
    /// A person to remove. Can be repeated.
    #[arg(long, value_name = "EMAIL")]
    remove: Vec<String>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
pub struct CheckChannelArguments {
    /// The channel's name.
    channel: String,
    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

#[derive(Debug, Args)]
pub struct DeleteChannelArguments {
    /// The channel's name.
    channel: String,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("text").args(["message", "message_file"]).required(true))]
struct MessageArguments {
    /// The text, in Slack's mrkdwn.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// A file with the text; - reads standard input.
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// A JSON file with a list of Block Kit blocks, which are shown instead of the text.
    #[arg(long, value_name = "FILE")]
    blocks: Option<PathBuf>,
    /// The timestamp of the message in whose thread this one is posted.
    #[arg(long, value_name = "TS")]
    thread_ts: Option<String>,
    /// Lets <!channel>, <!here> and <!everyone> notify everybody.
    #[arg(long)]
    allow_broadcast: bool,
}

#[derive(Debug, Args)]
struct Start {
    /// The idempotency key: a request is started only once with the same key. Random by default.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
    /// Waits until the execution has ended, and shows the outcome.
    #[arg(long)]
    wait: bool,
    /// How long to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "wait")]
    timeout: u64,
}

/// What to start, and whether to wait for it.
struct Asked {
    workflow: Workflow,
    request: Value,
    key: String,
    wait: Option<Duration>,
}

pub async fn run(operation: Operation, target: &Target) -> Result<Report, Failure> {
    let asked = operation.asked()?;
    // Check before AWS is needed.
    CheckedRequest::check(asked.workflow, asked.request.clone()).map_err(Failure::input)?;
    let client = Deployment::of(target).await?.client().await?;
    let started = client
        .start(asked.workflow, &asked.key, &asked.request)
        .await;
    let execution = started.map_err(|error| not_started(&error, &asked.key))?;
    match asked.wait {
        None => Ok(started_report(&execution, &asked.key)),
        Some(at_most) => Ok(end_of(asked.workflow, &execution, at_most).await),
    }
}

impl Operation {
    fn asked(self) -> Result<Asked, Failure> {
        Ok(match self {
            Self::CreateChannel(arguments) => {
                let mut request = CreateChannel::new(arguments.channel).members(arguments.members);
                if arguments.public {
                    request = request.visibility(Visibility::Public);
                }
                if let Some(topic) = arguments.topic {
                    request = request.topic(topic);
                }
                if let Some(purpose) = arguments.purpose {
                    request = request.purpose(purpose);
                }
                arguments.start.of(Workflow::CreateChannel, &request)
            }
            Self::NotifyPrivate(arguments) => {
                let allow_broadcast = arguments.message.allow_broadcast;
                let message = arguments.message.read()?;
                let mut request = NotifyPrivateChannel::new(arguments.channel, message)
                    .members(arguments.members);
                if allow_broadcast {
                    request = request.allow_broadcast();
                }
                arguments.start.of(Workflow::NotifyPrivateChannel, &request)
            }
            Self::NotifyPublic(arguments) => {
                let allow_broadcast = arguments.message.allow_broadcast;
                let message = arguments.message.read()?;
                let mut request = NotifyPublicChannel::new(arguments.channel, message);
                if allow_broadcast {
                    request = request.allow_broadcast();
                }
                arguments.start.of(Workflow::NotifyPublicChannel, &request)
            }
            Self::ChangeMembers(arguments) => {
                let mut request = ChangeChannelMembers::new(arguments.channel);
                if !arguments.add.is_empty() {
                    request = request.add_members(arguments.add);
                }
                if !arguments.remove.is_empty() {
                    request = request.remove_members(arguments.remove);
                }
                arguments.start.of(Workflow::ChangeChannelMembers, &request)
            }
            Self::CheckChannel(arguments) => {
                let start = Start {
                    key: None,
                    wait: true,
                    timeout: arguments.timeout,
                };
                let request = CheckChannelExists::new(arguments.channel);
                start.of(Workflow::CheckChannelExists, &request)
            }
            Self::DeleteChannel(arguments) => {
                let request = DeleteChannel::new(arguments.channel);
                arguments.start.of(Workflow::DeleteChannel, &request)
            }
        })
    }
}

impl Start {
    fn of(self, workflow: Workflow, request: &impl Serialize) -> Asked {
        Asked {
            workflow,
            request: serde_json::to_value(request).unwrap_or_default(),
            key: self.key.unwrap_or_else(|| Uuid::new_v4().to_string()),
            wait: self.wait.then(|| Duration::from_secs(self.timeout)),
        }
    }
}

impl MessageArguments {
    fn read(self) -> Result<Message, Failure> {
        let text = match (self.message, self.message_file) {
            (Some(text), _) => text,
            (None, file) => read_file("--message-file", &file.unwrap_or_default())?,
        };
        let mut message = Message::new(text);
        if let Some(file) = self.blocks {
            let blocks = serde_json::from_str(&read_file("--blocks", &file)?)
                .map_err(|_| Failure::input("--blocks must be a JSON list of blocks"))?;
            message = message.blocks(blocks);
        }
        if let Some(thread_ts) = self.thread_ts {
            message = message.in_thread(thread_ts);
        }
        Ok(message)
    }
}

fn read_file(flag: &str, file: &Path) -> Result<String, Failure> {
    let read = if file.as_os_str() == "-" {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text =
        read.map_err(|error| Failure::input(format!("{flag} {}: {error}", file.display())))?;
    Ok(text.trim_end().to_owned())
}

/// If the execution may have started, only the same key makes it safe to start it again.
fn not_started(error: &StartError, key: &str) -> Failure {
    match error {
        StartError::InvalidRequest(_) | StartError::Key(_) => Failure::input(error),
        StartError::Conflict { .. } => Failure::new(Exit::Conflict, error),
        StartError::Unavailable { .. } => Failure::aws(format!(
            "{error}; it may have started: run the command again with --key {key}"
        )),
        _ => Failure::aws(error),
    }
}

fn started_report(execution: &Execution<Outcome>, key: &str) -> Report {
    let arn = execution.arn();
    let name = name_of(arn);
    let hint = styled(FAINT, format!("apgl inspect {name} shows its progress"));
    Report {
        text: format!("started {name}\n{hint}"),
        json: json!({ "executionArn": arn, "key": key }),
        exit: Exit::Fine,
    }
}

async fn end_of(workflow: Workflow, execution: &Execution<Outcome>, at_most: Duration) -> Report {
    let arn = execution.arn();
    let name = name_of(arn);
    let (text, mut json, exit) = match execution.wait(at_most).await {
        Ok(outcome) => {
            let is_no = workflow == Workflow::CheckChannelExists && outcome.exists == Some(false);
            let exit = if is_no { Exit::No } else { Exit::Fine };
            let json = json!({ "status": "SUCCEEDED", "outcome": outcome });
            (shown(&outcome), json, exit)
        }
        Err(WaitError::Failed(failure)) => {
            let (failed, advice) = (styled(BAD, "failed"), advice(&failure.error, name));
            let text = format!("{failed} {failure}\n{advice}");
            let json = json!({
                "status": "FAILED", "error": failure.error, "message": failure.message,
                "field": failure.field, "slackError": failure.slack_error,
            });
            (text, json, Exit::NotWell)
        }
        Err(error) => {
            let (status, exit) = match error {
                WaitError::TimedOut => ("TIMED_OUT", Exit::NotWell),
                WaitError::Aborted => ("ABORTED", Exit::NotWell),
                WaitError::StillRunning { .. } => ("RUNNING", Exit::StillRunning),
                _ => ("UNKNOWN", Exit::Aws),
            };
            let json = json!({ "status": status, "message": error.to_string() });
            let mut text = styled(BAD, &error);
            if exit == Exit::NotWell {
                text = format!("{text}\n{}", advice(status_error(status), name));
            }
            (text, json, exit)
        }
    };
    json["executionArn"] = json!(arn);
    Report {
        text: format!("{text}\n{}", styled(FAINT, format!("execution {name}"))),
        json,
        exit,
    }
}

/// An outcome, one part per line.
fn shown(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut line = |what: String| {
        let _ = writeln!(text, "{what}");
    };
    if let Some(message) = &outcome.message {
        let twice = if message.duplicate {
            "; an earlier attempt had already posted it"
        } else {
            ""
        };
        let ts = message.ts.as_str();
        line(format!("{} message {ts}{twice}", styled(GOOD, "posted")));
    }
    match (outcome.exists, outcome.deleted) {
        (Some(true), _) => line(styled(GOOD, "the channel exists")),
        (Some(false), _) => line(styled(BAD, "the bot can't see the channel")),
        (_, Some(true)) => line(styled(GOOD, "archived")),
        (_, Some(false)) => line("there was nothing to archive".to_owned()),
        _ => {}
    }
    if let Some(channel) = &outcome.channel {
        line(shown_channel(channel));
    }
    if let Some(members) = &outcome.members {
        for (what, emails) in [
            ("invited", &members.invited),
            ("removed", &members.removed),
            ("already there", &members.already_members),
        ] {
            for email in emails {
                line(format!("{what:<14}{}", Email::as_str(email)));
            }
        }
        for skipped in &members.skipped {
            let (email, reason) = (skipped.email.as_str(), skipped.reason.as_str());
            line(format!("{:<14}{email}  ({reason})", "skipped"));
        }
    }
    text.trim_end().to_owned()
}

fn shown_channel(channel: &ChannelRef) -> String {
    let visibility = if channel.visibility.is_private() {
        "private"
    } else {
        "public"
    };
    let mut facts = vec![visibility, channel.id.as_str()];
    if channel.created {
        facts.push("new");
    }
    if channel.archived {
        facts.push("archived");
    }
    format!("{:<14}#{}  ({})", "channel", channel.name, facts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_may_have_happened_says_how_to_repeat_it_safely() {
        let unavailable = StartError::Unavailable {
            action: "StartExecution",
            reason: "no answer in time".to_owned(),
        };
        let failure = not_started(&unavailable, "4711");
        assert_eq!(failure.exit, Exit::Aws);
        assert!(failure.to_string().ends_with("again with --key 4711"));
    }
}

//! The arguments of the six operations, and the requests that they make.

use std::{
    fs,
    io::{Read, stdin},
    path::{Path, PathBuf},
    time::Duration,
};

use apgl_client::{
    ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Message,
    NotifyPrivateChannel, NotifyPublicChannel, Operation as Workflow, Visibility,
};
use apgl_contract::decode::parse;
use clap::{ArgGroup, Args, Subcommand, builder::NonEmptyStringValueParser};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::report::Failure;

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
    /// Deletes a channel that the bot has not created, too.
    #[arg(long)]
    even_if_not_ours: bool,
    /// Does not ask: for scripts.
    #[arg(long)]
    yes: bool,
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
pub(super) struct Asked {
    pub workflow: Workflow,
    pub request: Value,
    pub key: String,
    pub wait: Option<Duration>,
}

impl Operation {
    pub(super) fn asked(self) -> Result<Asked, Failure> {
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
                let mut request = DeleteChannel::new(arguments.channel);
                if arguments.even_if_not_ours {
                    request = request.even_if_not_ours();
                }
                arguments.start.of(Workflow::DeleteChannel, &request)
            }
        })
    }
}

impl Operation {
    /// The channel that the operation archives, if a person must confirm that first.
    pub fn to_confirm(&self) -> Option<&str> {
        match self {
            Self::DeleteChannel(DeleteChannelArguments {
                channel,
                yes: false,
                ..
            }) => Some(channel),
            _ => None,
        }
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
            let blocks = parse(read_file("--blocks", &file)?.as_bytes())
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

//! The arguments of the eight operations, and the requests that they make.

use std::{
    fs,
    io::{Read, stdin},
    ops::Not,
    path::{Path, PathBuf},
    time::Duration,
};

use apgl_client::{
    Category, ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Email,
    Message, NotifyPerson, NotifyPrivateChannel, NotifyPublicChannel, Operation as Workflow,
    UpdateItem, Visibility,
};
use apgl_contract::{Sequence, Timestamp, decode::parse};
use clap::{ArgGroup, Args, Subcommand, builder::NonEmptyStringValueParser};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    report::Failure,
    values::{category, email, reminders, sequence, time},
};

#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Creates a channel, or invites the members that are not in it yet.
    CreateChannel(CreateChannelArguments),
    /// Posts to a private channel, which is created if it does not exist.
    NotifyPrivate(NotifyPrivateArguments),
    /// Posts to a public channel, which must exist.
    NotifyPublic(NotifyPublicArguments),
    /// Posts a direct message to a person, unless they do not want it.
    NotifyPerson(NotifyPersonArguments),
    /// Invites and removes members of a channel.
    ChangeMembers(ChangeMembersArguments),
    /// Checks whether the bot sees a channel with this name. Waits for the answer.
    CheckChannel(CheckChannelArguments),
    /// Renames and archives a channel, so that its name is free again.
    DeleteChannel(DeleteChannelArguments),
    /// Records an item's new version, and updates its card.
    UpdateItem(UpdateItemArguments),
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
    channel_options: ChannelOptions,
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
    channel_options: ChannelOptions,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Args)]
pub struct NotifyPersonArguments {
    /// The person's e-mail address.
    #[arg(value_parser = email)]
    email: Email,
    #[command(flatten)]
    message: MessageArguments,
    #[command(flatten)]
    notice_options: NoticeOptions,
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
pub struct UpdateItemArguments {
    /// What identifies the item.
    item: String,
    /// The item's version, higher after each change.
    #[arg(long, value_name = "NUMBER")]
    version: u64,
    /// The name of the card's channel.
    #[arg(long)]
    channel: String,
    /// The channel is public instead of private, and exists.
    #[arg(long, conflicts_with = "own_channel")]
    public: bool,
    /// The channel is about this item alone, so the card is pinned.
    #[arg(long)]
    own_channel: bool,
    /// What the item is called.
    #[arg(long)]
    title: String,
    /// Where the item is worked on.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// The state that the item is in now, such as `in_review`.
    #[arg(long)]
    state: String,
    /// What the readers should do next.
    #[arg(long, value_name = "TEXT")]
    next_step: Option<String>,
    /// What else the card shows. Can be repeated.
    #[arg(long = "fact", value_name = "TEXT")]
    facts: Vec<String>,
    /// A person who must act now. Can be repeated.
    #[arg(long, value_name = "EMAIL", value_parser = email)]
    waiting_for: Vec<Email>,
    /// The day by which they must act, such as 2026-12-01.
    #[arg(long, value_name = "DATE")]
    due_date: Option<String>,
    /// The item's own settings for reminders, as docs/reminders.md describes them.
    #[arg(long, value_name = "JSON", value_parser = reminders)]
    reminders: Option<Value>,
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
}

/// Options of a message in a channel, as fields of the request.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChannelOptions {
    /// A person whom the message addresses, so that Slack notifies them. Can be repeated.
    #[arg(long, value_name = "EMAIL", value_parser = email)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mention: Vec<Email>,
    /// The person whose action the message reports. They are not mentioned.
    #[arg(long, value_name = "EMAIL", value_parser = email)]
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Email>,
    /// Lets <!channel>, <!here> and <!everyone> notify everybody.
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    allow_broadcast: bool,
    #[command(flatten)]
    #[serde(flatten)]
    notice: NoticeOptions,
}

/// What a request says about its notification besides the message, as fields of the request.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "camelCase")]
struct NoticeOptions {
    /// What kind of message this is; action by default. People choose by it which messages they get.
    #[arg(long, value_parser = category())]
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<Category>,
    /// When the event that the message reports happened, such as 2026-11-25T10:00:00Z. A message that is posted more
    /// than ten minutes later shows this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Timestamp>,
    /// The time after which the message is no longer posted, such as 2026-11-25T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// The message's place in a sequence, such as guide-42=3. It is not posted if one with the same key and a higher
    /// number has been posted to the same channel or person.
    #[arg(long, value_name = "KEY=NUMBER", value_parser = sequence)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
}

impl UpdateItemArguments {
    fn request(self) -> (Start, UpdateItem) {
        let mut request = UpdateItem::new(
            self.item,
            self.version,
            self.channel,
            self.title,
            self.state,
        );
        if self.public {
            request = request.visibility(Visibility::Public);
        }
        if self.own_channel {
            request = request.own_channel();
        }
        if let Some(link) = self.link {
            request = request.link(link);
        }
        if let Some(next_step) = self.next_step {
            request = request.next_step(next_step);
        }
        if let Some(due_date) = self.due_date {
            request = request.due_date(due_date);
        }
        if let Some(reminders) = self.reminders {
            request = request.reminders(reminders);
        }
        if !self.facts.is_empty() {
            request = request.facts(self.facts);
        }
        if !self.waiting_for.is_empty() {
            request = request.waiting_for(self.waiting_for.iter().map(Email::as_str));
        }
        (self.start, request)
    }
}

/// A request with the fields that options have given.
#[derive(Serialize)]
struct With<R, O> {
    #[serde(flatten)]
    request: R,
    #[serde(flatten)]
    options: O,
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
                let message = arguments.message.read()?;
                let request = With {
                    request: NotifyPrivateChannel::new(arguments.channel, message)
                        .members(arguments.members),
                    options: arguments.channel_options,
                };
                arguments.start.of(Workflow::NotifyPrivateChannel, &request)
            }
            Self::NotifyPublic(arguments) => {
                let message = arguments.message.read()?;
                let request = With {
                    request: NotifyPublicChannel::new(arguments.channel, message),
                    options: arguments.channel_options,
                };
                arguments.start.of(Workflow::NotifyPublicChannel, &request)
            }
            Self::NotifyPerson(arguments) => {
                let message = arguments.message.read()?;
                let request = With {
                    request: NotifyPerson::new(arguments.email.as_str(), message),
                    options: arguments.notice_options,
                };
                arguments.start.of(Workflow::NotifyPerson, &request)
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
            Self::UpdateItem(arguments) => {
                let (start, request) = arguments.request();
                start.of(Workflow::UpdateItem, &request)
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

#[cfg(test)]
mod tests {
    use apgl_contract::request::CheckedRequest;
    use clap::Parser;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        operation: Operation,
    }

    /// The options that every notification can have.
    const NOTICE: [&str; 8] = [
        "--category",
        "news",
        "--occurred-at",
        "2026-11-25T11:00:00+01:00",
        "--expires-at",
        "2026-11-26T10:00:00Z",
        "--sequence",
        "guide-42=3",
    ];
    /// The options that a message in a channel can have besides.
    const CHANNEL: [&str; 7] = [
        "--mention",
        "Ana@example.com",
        "--mention",
        "bob@example.com",
        "--actor",
        "cem@example.com",
        "--allow-broadcast",
    ];

    fn asked(arguments: &[&str]) -> Asked {
        let line = ["apgl"].iter().chain(arguments);
        Line::parse_from(line).operation.asked().unwrap()
    }

    fn notice() -> Value {
        json!({
            "category": "news", "occurredAt": "2026-11-25T10:00:00Z",
            "expiresAt": "2026-11-26T10:00:00Z", "sequence": { "key": "guide-42", "number": 3 },
        })
    }

    #[rstest]
    #[case::private("notify-private", Workflow::NotifyPrivateChannel, json!({
        "channelName": "x", "members": [], "message": { "text": "hi" },
    }))]
    #[case::public("notify-public", Workflow::NotifyPublicChannel, json!({
        "channelName": "x", "message": { "text": "hi" },
    }))]
    fn the_options_of_a_channels_message_are_fields_of_the_request(
        #[case] command: &str,
        #[case] workflow: Workflow,
        #[case] request: Value,
    ) {
        let line = [command, "x", "--message", "hi"];
        assert_eq!(asked(&line).request, request);

        let asked = asked(&[&line[..], &CHANNEL, &NOTICE].concat());
        let mut expected = request;
        let fields = expected.as_object_mut().unwrap();
        fields.extend(notice().as_object().unwrap().clone());
        expected["mention"] = json!(["ana@example.com", "bob@example.com"]);
        expected["actor"] = json!("cem@example.com");
        expected["allowBroadcast"] = json!(true);
        assert_eq!(asked.request, expected);
        assert_eq!(asked.workflow, workflow);
        assert!(CheckedRequest::check(workflow, asked.request).is_ok());
    }

    #[test]
    fn the_options_of_a_direct_message_are_fields_of_the_request() {
        let line = ["notify-person", "ana@example.com", "--message", "hi"];
        let mut expected = json!({ "email": "ana@example.com", "message": { "text": "hi" } });
        assert_eq!(asked(&line).request, expected);

        let asked = asked(&[&line[..], &NOTICE].concat());
        let fields = expected.as_object_mut().unwrap();
        fields.extend(notice().as_object().unwrap().clone());
        assert_eq!(asked.request, expected);
        assert_eq!(asked.workflow, Workflow::NotifyPerson);
        assert!(CheckedRequest::check(Workflow::NotifyPerson, asked.request).is_ok());
    }

    #[test]
    fn the_options_of_an_item_are_fields_of_the_request() {
        let line = [
            "update-item",
            "bounty:7",
            "--version",
            "3",
            "--channel",
            "x",
            "--title",
            "Rust",
            "--state",
            "posted",
        ];
        let mut expected = json!({
            "itemId": "bounty:7", "version": 3, "channelName": "x", "title": "Rust", "state": "posted",
        });
        assert_eq!(asked(&line).request, expected);

        let public = asked(&[&line[..], &["--public"]].concat()).request;
        assert_eq!(public["visibility"], "public");

        let more = [
            "--own-channel",
            "--link",
            "https://example.com/7",
            "--next-step",
            "Write it.",
            "--fact",
            "Reward: 500 USD",
            "--fact",
            "Posted by Ana",
            "--waiting-for",
            "Ana@example.com",
            "--due-date",
            "2026-12-01",
            "--reminders",
            r#"{"escalateTo":["eve@example.com"],"overdue":3}"#,
        ];
        let asked = asked(&[&line[..], &more].concat());
        let fields = json!({
            "ownChannel": true, "link": "https://example.com/7", "nextStep": "Write it.",
            "facts": ["Reward: 500 USD", "Posted by Ana"], "waitingFor": ["ana@example.com"],
            "dueDate": "2026-12-01",
            "reminders": { "escalateTo": ["eve@example.com"], "overdue": 3 },
        });
        let all = expected.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        assert_eq!(asked.request, expected);
        assert_eq!(asked.workflow, Workflow::UpdateItem);
        assert!(CheckedRequest::check(Workflow::UpdateItem, asked.request).is_ok());
    }
}

//! The notifications of a run, and what is in Slack afterwards.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use apgl_client::Operation;
use apgl_contract::Timestamp;
use local_stack::{Execution, LocalStack, Status, execution::Executions, stack::put_profile};
use serde_json::{Value, json};
use slack_sandbox::{Admin, Seed, admin::ChannelState, seed::ChannelSeed, workspace::User};
use tokio::time::{Instant, sleep};

use crate::{Error, caller::Event};

const POLL: Duration = Duration::from_secs(1);
/// Of mixed channels, one in this many is private.
const PRIVATE_EVERY: usize = 5;
const PEOPLE: usize = 6;
const MEMBERS: usize = 2;

/// One notification, identified by its event.
#[derive(Debug, Clone)]
pub struct Notification {
    pub operation: Operation,
    /// The channel's name, or the address of the person who gets it as a direct message.
    pub channel: String,
    /// Unique among the notifications, so it also serves as the key.
    pub text: String,
    pub request: Value,
    /// Its number, if it is one of the sequence of its channel or person.
    pub number: Option<u64>,
    /// When it expires; set when it is started.
    pub expires_at: Option<SystemTime>,
}

/// How long after its start a notification that can expire does.
const EXPIRES_AFTER: Duration = Duration::from_secs(20);
/// The key of all sequences. Each channel and each person has its own.
const SEQUENCE: &str = "chaos";

impl Notification {
    /// Of five notifications, one goes to a person instead, two are of their channel's sequence, and one can expire. Each
    /// person gets four in a row: three are of the person's sequence, and the last of these can expire.
    #[must_use]
    pub fn with_notice(mut self, n: usize, people: &[String]) -> Self {
        if n % 5 == 1 {
            let person = &people[n / 20 % people.len()];
            self.operation = Operation::NotifyPerson;
            self.request = json!({ "email": person, "message": self.text });
            self.channel.clone_from(person);
        }
        if matches!(n % 20, 1 | 6 | 11) || matches!(n % 5, 2 | 3) {
            let number = u64::try_from(n).unwrap_or_default();
            self.request["sequence"] = json!({ "key": SEQUENCE, "number": number });
            self.number = Some(number);
        }
        if n % 20 == 11 || n % 5 == 4 {
            self.expires_at = Some(SystemTime::UNIX_EPOCH);
        }
        self
    }

    /// The notification as it is started now: from now on its request stays the same.
    #[must_use]
    pub fn started(mut self) -> Self {
        if let Some(expires_at) = &mut self.expires_at {
            *expires_at = SystemTime::now() + EXPIRES_AFTER;
            self.request["expiresAt"] = json!(Timestamp::try_from(*expires_at).ok());
        }
        self
    }

    /// What its caller asks for.
    pub fn event(&self) -> Event {
        Event {
            operation: self.operation,
            key: self.text.clone(),
            request: self.request.clone(),
        }
    }

    pub fn is_private(&self) -> bool {
        self.operation == Operation::NotifyPrivateChannel
    }
}

/// The kinds of channels in a run. Private ones are created and filled by the workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    Public,
    /// One in five is private.
    Mixed,
    /// All are private, and nobody is invited.
    Private,
}

/// The channels and people of a run.
#[derive(Debug, Clone)]
pub struct Audience {
    pub public: Vec<String>,
    pub private: Vec<String>,
    pub people: Vec<String>,
    members: usize,
}

impl Audience {
    /// An audience with this number and kind of channels.
    pub fn new(run: &str, channels: usize, kind: Channels) -> Self {
        let is_private = |n: &usize| match kind {
            Channels::Public => false,
            Channels::Mixed => n % PRIVATE_EVERY == PRIVATE_EVERY - 1,
            Channels::Private => true,
        };
        let (private, public): (Vec<_>, Vec<_>) = (0..channels).partition(is_private);
        let names = |numbers: Vec<usize>| {
            let name = |n| format!("{run}-{n}");
            numbers.into_iter().map(name).collect()
        };
        Self {
            public: names(public),
            private: names(private),
            people: (0..PEOPLE)
                .map(|n| format!("{run}-{n}@example.com"))
                .collect(),
            members: if kind == Channels::Private {
                0
            } else {
                MEMBERS
            },
        }
    }

    /// Adds the public channels and the people to Slack, and the people's profiles to the table.
    pub async fn settle(&self, stack: &LocalStack, sandbox: &Admin) -> Result<(), Error> {
        let channels = self.public.iter().map(|name| ChannelSeed {
            name: name.clone(),
            ..ChannelSeed::default()
        });
        let users = self.people.iter().map(|email| User {
            name: email.replace("@example.com", ""),
            email: Some(email.clone()),
            ..User::default()
        });
        let seed = Seed {
            channels: channels.collect(),
            users: users.collect(),
            ..Seed::default()
        };
        sandbox.seed(&seed).await?;
        for email in &self.people {
            let table = stack.user_profiles_table();
            put_profile(&stack.aws, table, email, Some(true)).await?;
        }
        Ok(())
    }

    /// Returns `count` notifications, which go to the channels in turn.
    pub fn notifications(&self, run: &str, count: usize) -> Vec<Notification> {
        let channels: Vec<(&String, bool)> = (self.public.iter().map(|name| (name, false)))
            .chain(self.private.iter().map(|name| (name, true)))
            .collect();
        (0..count)
            .map(|n| {
                let (channel, is_private) = channels[n % channels.len()];
                let text = format!("{run} notification {n}");
                let mut request = json!({ "channelName": channel, "message": text });
                if is_private {
                    let members = self.people.iter().cycle().skip(n).take(self.members);
                    request["members"] = json!(members.collect::<Vec<_>>());
                }
                Notification {
                    operation: if is_private {
                        Operation::NotifyPrivateChannel
                    } else {
                        Operation::NotifyPublicChannel
                    },
                    channel: channel.clone(),
                    text,
                    request,
                    number: None,
                    expires_at: None,
                }
            })
            .collect()
    }
}

/// What is in Slack, over all channels.
#[derive(Debug, Default)]
pub struct InSlack {
    /// How often each text occurs in total, and how often in each channel.
    anywhere: HashMap<String, usize>,
    in_channel: HashMap<(String, String), usize>,
    pub channels: HashMap<String, ChannelState>,
}

impl InSlack {
    pub async fn now(sandbox: &Admin) -> Result<Self, Error> {
        let mut now = Self::default();
        for channel in sandbox.channels().await? {
            for message in &channel.messages {
                let text = message.text.clone();
                *now.anywhere.entry(text.clone()).or_default() += 1;
                let place = (channel.name.clone(), text);
                *now.in_channel.entry(place).or_default() += 1;
            }
            now.channels.insert(channel.name.clone(), channel);
        }
        Ok(now)
    }

    /// How often the notification occurs where it belongs, and how often in total.
    pub fn copies(&self, notification: &Notification) -> (usize, usize) {
        let place = (notification.channel.clone(), notification.text.clone());
        let here = self.in_channel.get(&place).copied().unwrap_or_default();
        let anywhere = self.anywhere.get(&notification.text).copied();
        (here, anywhere.unwrap_or_default())
    }
}

/// Waits until an execution has ended; returns `None` if it has not ended in time. A failed poll, which can happen
/// on an overloaded machine, is repeated.
pub async fn end_of(
    executions: &Executions,
    arn: &str,
    at_most: Duration,
) -> Result<Option<Execution>, Error> {
    let deadline = Instant::now() + at_most;
    loop {
        let looked = executions.describe(arn).await;
        let is_late = Instant::now() >= deadline;
        match looked {
            Ok(execution) if execution.status != Status::Running => return Ok(Some(execution)),
            Err(error) if is_late => return Err(error.into()),
            _ if is_late => return Ok(None),
            _ => sleep(POLL).await,
        }
    }
}

/// Calls to Slack: the total, those rejected by a limit, and the faults by kind.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SlackCalls {
    pub total: u64,
    pub rejected: u64,
    pub faults: BTreeMap<String, u64>,
}

impl SlackCalls {
    pub async fn so_far(sandbox: &Admin) -> Result<Self, Error> {
        let mut calls = Self::default();
        for tally in sandbox.call_summary().await?.into_values() {
            calls.total += tally.total;
            calls.rejected += tally.rate_limited;
            for (kind, count) in tally.faults {
                *calls.faults.entry(kind).or_default() += count;
            }
        }
        Ok(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_gets_a_sequence_and_messages_that_can_expire() {
        let audience = Audience::new("run", 50, Channels::Mixed);
        // Two rounds of four for each person.
        let notifications = audience.notifications("run", 2 * 20 * PEOPLE);
        let notifications = notifications.into_iter().enumerate();
        let requests: Vec<Value> = notifications
            .map(|(n, one)| one.with_notice(n, &audience.people).started().request)
            .collect();
        for person in &audience.people {
            let with = |field: &str| {
                let to_person = requests.iter().filter(|one| one["email"] == *person);
                to_person.filter(|one| !one[field].is_null()).count()
            };
            assert_eq!(["email", "sequence", "expiresAt"].map(with), [8, 6, 2]);
        }
    }
}

//! Whether each message went to the right channel.
//!
//! The right channel has the requested name and visibility, and for a private notification nobody outside the
//! organisation can read it. People change channels while steps run, so what counts is what the channel was when Slack
//! took the message, and when the invocation that posted it asked Slack about the channel.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use apgl_client::Operation;
use apgl_slack::SlackClient;
use slack_sandbox::{
    admin::ChannelState,
    calls::Call,
    workspace::{Message, Version},
};

use crate::{
    notifications::Notification,
    people::{ARCHIVED, CONVERTED, Posting, RENAMED, SHARED},
};

/// How much later than its message a call can stand in the log.
const LOG_MARGIN_MICROS: u64 = 100_000;

/// How the direct message with another person is wrong.
const SOMEBODY_ELSES: &str = "of somebody else";

/// All messages in Slack, and their channels.
#[derive(Debug)]
pub struct Messages {
    channels: Vec<ChannelState>,
    /// The indexes of the channel and of the message in it, by text.
    by_text: HashMap<String, Vec<(usize, usize)>>,
}

impl Messages {
    pub fn of(channels: Vec<ChannelState>) -> Self {
        let mut by_text: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (c, channel) in channels.iter().enumerate() {
            for (m, message) in channel.messages.iter().enumerate() {
                by_text
                    .entry(message.text.clone())
                    .or_default()
                    .push((c, m));
            }
        }
        Self { channels, by_text }
    }

    /// Whether a message with this text is anywhere.
    pub fn has(&self, text: &str) -> bool {
        self.by_text.contains_key(text)
    }

    /// How many messages of a sequence are in their channel, or direct messages, after one with a higher number.
    pub fn out_of_sequence(&self, numbers: &HashMap<&str, u64>) -> usize {
        let in_channel = |channel: &ChannelState| {
            let mut highest = 0;
            let messages = channel.messages.iter();
            let numbers = messages.filter_map(|message| numbers.get(message.text.as_str()));
            numbers
                .filter(|number| {
                    let is_late = **number < highest;
                    highest = highest.max(**number);
                    is_late
                })
                .count()
        };
        self.channels.iter().map(in_channel).sum()
    }

    /// The places of this notification's messages, which the execution `arn` has posted.
    pub fn places(
        &self,
        notification: &Notification,
        arn: &str,
        evidence: &Evidence,
    ) -> Vec<Place> {
        let found = self.by_text.get(&notification.text).into_iter().flatten();
        let judged = found.map(|(c, m)| {
            let channel = &self.channels[*c];
            evidence.place(notification, arn, channel, &channel.messages[*m])
        });
        judged.collect()
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a channel that was right.
    Right,
    /// In a channel that had changed too recently to know.
    JustChanged(Changed),
    /// In a channel that had changed earlier than the promise allows.
    Wrong(Changed),
}

/// How a channel had changed, and how long before the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    pub how: &'static str,
    pub before: Duration,
}

/// What is known of the run, to judge its messages by.
#[derive(Debug)]
pub struct Evidence {
    pub posting: Posting,
    /// When Slack answered a question about a channel, in microseconds since 1970, by the channel's id.
    asked: BTreeMap<String, Vec<u64>>,
    /// When a message was sent, by the channel's id and the text.
    sent: BTreeMap<(String, String), Vec<u64>>,
    /// How long the deployment trusts what Slack has confirmed.
    pub trust: Duration,
}

impl Evidence {
    pub fn new(calls: &[Call], posting: Posting, trust: Duration) -> Self {
        let mut evidence = Self {
            posting,
            asked: BTreeMap::new(),
            sent: BTreeMap::new(),
            trust,
        };
        for call in calls {
            let argument = |name: &str| call.arguments.get(name).cloned().unwrap_or_default();
            let at = call
                .at
                .parse()
                .map_or(0, |at: jiff::Timestamp| at.as_microsecond());
            let at = u64::try_from(at).unwrap_or_default();
            let channel = argument("channel");
            match call.method.as_str() {
                "conversations.info" if call.status == 200 && call.error.is_none() => {
                    evidence.asked.entry(channel).or_default().push(at);
                }
                "chat.postMessage" => {
                    let place = (channel, argument("text"));
                    evidence.sent.entry(place).or_default().push(at);
                }
                _ => {}
            }
        }
        evidence
    }

    /// Whether a request to post it was received longer after its expiry than a connection may take to open.
    pub fn was_sent_late(&self, notification: &Notification) -> bool {
        let Some(expires_at) = notification.expires_at else {
            return false;
        };
        let since = expires_at.duration_since(SystemTime::UNIX_EPOCH);
        let latest = since.unwrap_or_default() + SlackClient::CALL_TIMEOUT;
        let latest = u64::try_from(latest.as_micros()).unwrap_or(u64::MAX);
        let sent = self.sent.iter();
        let mut sent = sent.filter(|((_, text), _)| *text == notification.text);
        sent.any(|(_, times)| times.iter().any(|at| *at > latest))
    }

    /// Judges a message of this notification by the execution `arn`.
    pub fn place(
        &self,
        notification: &Notification,
        arn: &str,
        channel: &ChannelState,
        message: &Message,
    ) -> Place {
        if notification.operation == Operation::NotifyPerson {
            return if channel.emails.contains(&notification.channel) {
                Place::Right
            } else {
                Place::Wrong(Changed {
                    how: SOMEBODY_ELSES,
                    before: Duration::ZERO,
                })
            };
        }
        let posted_at = micros(&message.ts);
        let until_then = channel.versions.iter();
        let until_then = until_then.take_while(|version| version.since <= posted_at);
        let mut wrong: Option<(u64, &'static str)> = None;
        for version in until_then {
            wrong = is_wrong_for(notification, version)
                .map(|how| wrong.unwrap_or((version.since, how)));
        }
        let Some((since, how)) = wrong else {
            return Place::Right;
        };
        let changed = Changed {
            how,
            before: Duration::from_micros(posted_at.saturating_sub(since)),
        };
        let place = (channel.id.clone(), message.text.clone());
        let sent_at = latest(self.sent.get(&place), posted_at + LOG_MARGIN_MICROS);
        let Some(began) = latest(self.posting.get(arn), sent_at.unwrap_or(posted_at)) else {
            return Place::Wrong(changed);
        };
        // Without trust, the invocation has asked. With concurrent invocations, whose question was it? The first one
        // since the beginning decides: if the channel had changed by then, none of them could see it unchanged.
        let asked = self.asked.get(&channel.id).into_iter().flatten();
        let asked = asked.copied().find(|at| (began..=posted_at).contains(at));
        let asked = asked.filter(|_| self.trust.is_zero()).unwrap_or(began);
        let trust = u64::try_from(self.trust.as_micros()).unwrap_or(u64::MAX);
        if since.saturating_add(trust) <= asked {
            Place::Wrong(changed)
        } else {
            Place::JustChanged(changed)
        }
    }
}

/// How this version of a channel is wrong for the notification, if it is.
fn is_wrong_for(notification: &Notification, version: &Version) -> Option<&'static str> {
    let is_private = notification.is_private();
    if version.is_archived {
        Some(ARCHIVED)
    } else if version.name != notification.channel {
        Some(RENAMED)
    } else if version.is_private != is_private {
        Some(CONVERTED)
    } else {
        (is_private && version.is_ext_shared).then_some(SHARED)
    }
}

fn latest(times: Option<&Vec<u64>>, until: u64) -> Option<u64> {
    let times = times?.iter().copied();
    times.filter(|at| *at <= until).max()
}

/// The time of a message's `ts`, in microseconds since 1970.
fn micros(ts: &str) -> u64 {
    ts.replace('.', "").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const SECOND: u64 = 1_000_000;
    /// When the invocation that posted began.
    const BEGAN: u64 = 2_000 * SECOND;
    const ASKED: u64 = BEGAN + SECOND;
    const POSTED: u64 = BEGAN + 2 * SECOND;
    const NO_TRUST: u64 = 0;

    fn notification(operation: Operation) -> Notification {
        Notification {
            operation,
            channel: "team".to_owned(),
            text: "hello".to_owned(),
            request: json!({}),
            number: None,
            expires_at: None,
        }
    }

    fn version(since: u64, name: &str, is_private: bool, is_ext_shared: bool) -> Version {
        Version {
            since,
            name: name.to_owned(),
            is_private,
            is_archived: false,
            is_ext_shared,
        }
    }

    fn call(method: &str, at: u64) -> Call {
        let arguments = [("channel", "C1"), ("text", "hello")];
        let at = i64::try_from(at).map(jiff::Timestamp::from_microsecond);
        Call {
            seq: 1,
            at: at.unwrap().unwrap().to_string(),
            method: method.to_owned(),
            token_end: None,
            arguments: arguments.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            status: 200,
            error: None,
            fault: None,
        }
    }

    fn empty_channel() -> ChannelState {
        ChannelState {
            id: "C1".to_owned(),
            versions: Vec::new(),
            name: String::new(),
            is_private: true,
            is_archived: false,
            is_ext_shared: false,
            creator: String::new(),
            topic: String::new(),
            purpose: String::new(),
            members: Vec::new(),
            emails: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The place of a private notification's message, in a channel that became this version.
    fn place(became: Version, trust_seconds: u64) -> Place {
        let channel = ChannelState {
            versions: vec![version(0, "team", true, false), became],
            ..empty_channel()
        };
        let message = Message {
            ts: format!("{}.{:06}", POSTED / SECOND, POSTED % SECOND),
            text: "hello".to_owned(),
            ..Message::default()
        };
        // Another execution asked before, and this one posts a moment before its call is logged.
        let calls = [
            call("conversations.info", BEGAN - SECOND),
            call("conversations.info", ASKED),
            call("chat.postMessage", POSTED + 10),
        ];
        let posting = Posting::from([("arn".to_owned(), vec![BEGAN - 100 * SECOND, BEGAN])]);
        let evidence = Evidence::new(&calls, posting, Duration::from_secs(trust_seconds));
        let private = notification(Operation::NotifyPrivateChannel);
        evidence.place(&private, "arn", &channel, &message)
    }

    #[rstest]
    #[case::before_the_invocation(BEGAN - 1, NO_TRUST, false)]
    #[case::before_it_asked(ASKED - 1, NO_TRUST, false)]
    #[case::after_it_asked(ASKED + 1, NO_TRUST, true)]
    #[case::longer_ago_than_channel_trust_seconds(BEGAN - 901 * SECOND, 900, false)]
    #[case::within_channel_trust_seconds(BEGAN - 899 * SECOND, 900, true)]
    fn a_message_may_be_in_a_changed_channel_only_if_nobody_had_to_know(
        #[case] changed_at: u64,
        #[case] trust_seconds: u64,
        #[case] is_allowed: bool,
    ) {
        let renamed = version(changed_at, "crew", true, false);
        let expected = Changed {
            how: RENAMED,
            before: Duration::from_micros(POSTED - changed_at),
        };
        let expected = if is_allowed {
            Place::JustChanged(expected)
        } else {
            Place::Wrong(expected)
        };
        assert_eq!(place(renamed, trust_seconds), expected);
    }

    #[rstest]
    #[case::unchanged(version(1, "team", true, false), None)]
    #[case::renamed(version(1, "crew", true, false), Some(RENAMED))]
    #[case::made_public(version(1, "team", false, false), Some(CONVERTED))]
    #[case::shared(version(1, "team", true, true), Some(SHARED))]
    #[case::changed_after_the_message(version(POSTED + 1, "crew", true, false), None)]
    fn the_right_channel_for_a_private_message_is_private_unshared_and_has_the_name(
        #[case] became: Version,
        #[case] wrong: Option<&str>,
    ) {
        let how = match place(became, NO_TRUST) {
            Place::Right => None,
            Place::JustChanged(changed) | Place::Wrong(changed) => Some(changed.how),
        };
        assert_eq!(how, wrong);
    }

    #[test]
    fn a_lower_number_after_a_higher_one_is_out_of_sequence() {
        let message = |text: &str| Message {
            text: text.to_owned(),
            ..Message::default()
        };
        let texts = ["one", "three", "two", "else", "three", "two"];
        let channel = |texts: &[&str]| ChannelState {
            messages: texts.iter().copied().map(message).collect(),
            ..empty_channel()
        };
        // Each channel and each person has its own sequence.
        let messages = Messages::of(vec![channel(&texts), channel(&["one", "two"])]);
        let numbers = HashMap::from([("one", 1), ("two", 2), ("three", 3)]);
        assert_eq!(messages.out_of_sequence(&numbers), 2);
    }

    #[rstest]
    #[case::in_time(0, false)]
    #[case::while_it_connected(10, false)]
    #[case::late(11, true)]
    fn a_request_after_its_expiry_was_sent_late(#[case] seconds: u64, #[case] late: bool) {
        let calls = [call("chat.postMessage", POSTED + seconds * SECOND)];
        let evidence = Evidence::new(&calls, Posting::new(), Duration::ZERO);
        let notification = Notification {
            expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_micros(POSTED)),
            ..notification(Operation::NotifyPublicChannel)
        };
        assert_eq!(evidence.was_sent_late(&notification), late);
    }

    #[test]
    fn a_public_message_may_be_in_a_shared_channel() {
        let public = notification(Operation::NotifyPublicChannel);
        let shared = version(1, "team", false, true);
        assert_eq!(is_wrong_for(&public, &shared), None);
        let private = version(1, "team", true, false);
        assert_eq!(is_wrong_for(&public, &private), Some(CONVERTED));
    }
}

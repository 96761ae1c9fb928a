//! To whom a message goes: a channel, or one person.

use apgl_contract::{ChannelRef, DirectMessage, Invocation, Sequence, StepError, Visibility};
use apgl_directory::Directory;
use apgl_slack::SlackError;
use apgl_stores::InSequence;
use sha2::{Digest, Sha256};

use crate::protocol::NotDelivered;

const JOIN: &str = "conversations.join";

#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Channel(&'a ChannelRef),
    Person(&'a DirectMessage),
}

impl<'a> Target<'a> {
    /// # Errors
    /// [`StepError::StepMalformed`] unless exactly one of them is given.
    pub fn of(
        channel: Option<&'a ChannelRef>,
        conversation: Option<&'a DirectMessage>,
    ) -> Result<Self, StepError> {
        match (channel, conversation) {
            (Some(channel), None) => Ok(Self::Channel(channel)),
            (None, Some(conversation)) => Ok(Self::Person(conversation)),
            _ => Err(StepError::StepMalformed {
                field: "input.channel".to_owned(),
                rule: "is required, or `conversation`, but not both".to_owned(),
            }),
        }
    }

    /// The id of the channel or conversation.
    pub fn id(&self) -> &str {
        match self {
            Self::Channel(channel) => &channel.id,
            Self::Person(conversation) => &conversation.id,
        }
    }

    /// The place in a sequence of messages to this target. A channel is known by its name: people may replace it by
    /// another one while its messages are delivered.
    pub fn in_sequence(&self, sequence: &Sequence) -> InSequence {
        let target = match self {
            Self::Channel(channel) => format!("channel {}", channel.name),
            Self::Person(conversation) => format!("person {}", conversation.email.as_str()),
        };
        let hash = Sha256::digest(format!("{target}\n{}", sequence.key.as_str()));
        InSequence {
            sequence_id: base16ct::lower::encode_string(&hash),
            number: sequence.number.get(),
        }
    }

    /// Makes a call about the channel `id`: this one, or one in which an earlier attempt posted. Joins it if the bot is
    /// not in it. Whether an earlier channel is public is not known: a private one can't be joined. An unknown outcome is
    /// that of the call itself: if that of joining is unknown, the call was not repeated and had no effect.
    pub async fn reach<T>(
        &self,
        directory: &Directory,
        id: &str,
        call: impl AsyncFn() -> Result<T, SlackError>,
    ) -> Result<T, SlackError> {
        let Self::Channel(current) = self else {
            return call().await;
        };
        let visibility = if id == current.id {
            current.visibility
        } else {
            Visibility::Public
        };
        let joined = ChannelRef {
            id: id.to_owned(),
            visibility,
            ..(*current).clone()
        };
        match directory.slack.in_channel(&joined, call).await {
            Err(SlackError::OutcomeUnknown { method, reason }) if method == JOIN => {
                Err(SlackError::Unavailable { method, reason })
            }
            answer => answer,
        }
    }

    /// Confirms, right before the message is posted, that it goes where the request wants it, and to whom.
    ///
    /// A direct message can't become anything else. But after a redrive, those whom a message addresses are looked up
    /// again.
    pub async fn confirm(
        &self,
        directory: &Directory,
        mentions_people: bool,
        invocation: &Invocation,
    ) -> Result<(), StepError> {
        let addresses_people = match self {
            Self::Channel(_) => mentions_people,
            Self::Person(_) => true,
        };
        if addresses_people && invocation.run.looks_up_again_after_redrive() {
            return Err(StepError::ChannelNotFound {
                channel: self.id().to_owned(),
                hint: "those whom the message addresses were looked up before the redrive",
            });
        }
        match self {
            Self::Channel(channel) => directory.confirm(channel, invocation).await,
            Self::Person(_) => Ok(()),
        }
    }

    /// The step's error for a message that was not delivered.
    pub async fn step_error(&self, directory: &Directory, error: NotDelivered) -> StepError {
        match error {
            NotDelivered::Slack(SlackError::Rejected { code, detail, .. })
                if is_about_the_message(&code) =>
            {
                StepError::SlackMessageRejected { code, detail }
            }
            NotDelivered::Slack(error) => self.error(directory, error).await,
            error => error.into(),
        }
    }

    /// The step's error for a refusal by Slack. What the table says about a channel is corrected.
    async fn error(&self, directory: &Directory, error: SlackError) -> StepError {
        match self {
            Self::Channel(channel) => directory.correct_table(channel, error).await,
            Self::Person(conversation) if error.rejected_code() == Some("channel_not_found") => {
                StepError::ChannelNotFound {
                    channel: conversation.id.clone(),
                    hint: "Slack does not show this direct message to the bot",
                }
            }
            Self::Person(_) => error.into(),
        }
    }
}

/// Whether Slack has refused the message itself: no redrive could help. Every other code, and every code that Slack
/// may add, is about something that somebody can change.
///
/// Source: the errors of <https://docs.slack.dev/reference/methods/chat.postMessage>, which chat.update shares.
fn is_about_the_message(code: &str) -> bool {
    matches!(
        code,
        "no_text"
            | "msg_too_long"
            | "msg_blocks_too_long"
            | "invalid_blocks"
            | "invalid_blocks_format"
            | "markdown_text_conflict"
            | "cannot_reply_to_message"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn channel(id: &str) -> ChannelRef {
        let channel = json!({
            "id": id, "name": "guide-42", "visibility": "private", "archived": false, "created": false,
        });
        from_value(channel).unwrap()
    }

    fn conversation(email: &str) -> DirectMessage {
        from_value(json!({ "id": "D1", "email": email, "userId": "U1" })).unwrap()
    }

    #[test]
    fn a_message_goes_to_a_channel_or_to_a_person() {
        let (channel, person) = (channel("C1"), conversation("ana@example.com"));
        for (channel, person) in [(None, None), (Some(&channel), Some(&person))] {
            let error = Target::of(channel, person).unwrap_err();
            assert!(matches!(error, StepError::StepMalformed { .. }));
        }
    }

    #[test]
    fn each_target_has_its_own_sequences() {
        let sequence = |key: &str| from_value(json!({ "key": key, "number": 7 })).unwrap();
        let id = |target: Target<'_>, key: &str| target.in_sequence(&sequence(key)).sequence_id;
        let guide = id(Target::Channel(&channel("C1")), "x");
        let replaced = id(Target::Channel(&channel("C2")), "x");
        assert_eq!(guide, replaced);
        let ana = id(Target::Person(&conversation("ana@example.com")), "x");
        let bob = id(Target::Person(&conversation("bob@example.com")), "x");
        let other = id(Target::Channel(&channel("C1")), "y");
        assert!(ana != bob && ana != guide && other != guide);
    }
}

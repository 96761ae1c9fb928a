//! Requests as callers build them. Starting a request checks it by the workflow's own rules.

use std::{fmt, time::SystemTime};

use apgl_contract::{Category, Timestamp, Visibility, request::OnInvalidAddress};
use serde::Serialize;
use serde_json::Value;

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
struct Confidential<T>(T);

impl<T> fmt::Debug for Confidential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(confidential)")
    }
}

type Addresses = Confidential<Vec<String>>;

fn addresses(addresses: impl IntoIterator<Item = impl Into<String>>) -> Addresses {
    Confidential(addresses.into_iter().map(Into::into).collect())
}

/// A message: a text in Slack's mrkdwn, optionally with blocks or in a thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    text: Confidential<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Confidential<Vec<Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_links: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_media: Option<bool>,
}

impl Message {
    /// A message with at most 12,000 characters. The caller must escape `&`, `<` and `>` in text that is not mrkdwn.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Confidential(text.into()),
            blocks: None,
            thread_ts: None,
            unfurl_links: None,
            unfurl_media: None,
        }
    }

    /// Adds at most 50 Block Kit blocks, which are shown instead of the text. Notifications and screen readers still
    /// use the text, up to 4,000 characters of it.
    #[must_use]
    pub fn blocks(mut self, blocks: Vec<Value>) -> Self {
        self.blocks = Some(Confidential(blocks));
        self
    }

    /// Posts in the thread of the message with this timestamp, which is `ts` in that message's outcome.
    #[must_use]
    pub fn in_thread(mut self, thread_ts: impl Into<String>) -> Self {
        self.thread_ts = Some(thread_ts.into());
        self
    }

    /// Lets Slack show a preview of the pages that the text links to.
    #[must_use]
    pub fn unfurl_links(mut self) -> Self {
        self.unfurl_links = Some(true);
        self
    }

    /// Lets Slack show images, videos and sound that the text links to.
    #[must_use]
    pub fn unfurl_media(mut self) -> Self {
        self.unfurl_media = Some(true);
        self
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A time: a [`SystemTime`], or text in RFC 3339 such as `2026-11-25T10:00:00Z`.
///
/// Other crates' types, such as those of chrono and jiff, convert into a `SystemTime`. A request with a time before 1970 or
/// after 9999 is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Time(String);

impl From<SystemTime> for Time {
    fn from(at: SystemTime) -> Self {
        // What is not in range is refused when the request is started, like any other text that is not a time.
        let out_of_range = |_| "out of range".to_owned();
        Self(Timestamp::try_from(at).map_or_else(out_of_range, String::from))
    }
}

impl From<&str> for Time {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Time {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a request says about its notification besides the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<Category>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Sequence {
    key: Confidential<String>,
    number: u64,
}

/// The methods of every request that notifies somebody, in whose field `notice` they write.
macro_rules! notice_methods {
    ($($request:ty),*) => {
        $(impl $request {
            /// What kind of message this is, by default [`Category::Action`]. People choose by it which messages they
            /// get.
            #[must_use]
            pub fn category(mut self, category: Category) -> Self {
                self.notice.category = Some(category);
                self
            }

            /// When the event that the message reports happened. A message that is posted more than ten minutes later
            /// shows this time. It must come from the event: see [the key](crate#the-key).
            #[must_use]
            pub fn occurred_at(mut self, at: impl Into<Time>) -> Self {
                self.notice.occurred_at = Some(at.into());
                self
            }

            /// The time after which the message is no longer posted. Then the outcome says
            /// [`Expired`](crate::outcome::NotPosted::Expired). It must come from the event: see
            /// [the key](crate#the-key).
            #[must_use]
            pub fn expires_at(mut self, at: impl Into<Time>) -> Self {
                self.notice.expires_at = Some(at.into());
                self
            }

            /// The message's place in a sequence. The key, at most 200 characters, says what the sequence is about, for
            /// example an article. The number, at most 2⁵³ − 1, is higher for what happened later, for example the
            /// article's version. If a message with the same key and a higher number has been posted to the same channel
            /// or person, this one is not posted, and the outcome says
            /// [`Superseded`](crate::outcome::NotPosted::Superseded).
            #[must_use]
            pub fn sequence(mut self, key: impl Into<String>, number: u64) -> Self {
                let key = Confidential(key.into());
                self.notice.sequence = Some(Sequence { key, number });
                self
            }
        })*
    };
}

notice_methods!(NotifyPrivateChannel, NotifyPublicChannel, NotifyPerson);

/// Whom a message in a channel addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Audience {
    #[serde(skip_serializing_if = "Option::is_none")]
    mention: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Confidential<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_broadcast: Option<bool>,
}

/// The methods of every request that posts to a channel, in whose field `audience` they write.
macro_rules! audience_methods {
    ($($request:ty),*) => {
        $(impl $request {
            /// The people whom the message addresses, by e-mail address, at most 50. Slack notifies those who want it;
            /// the others appear by name. The message begins with them, unless its blocks have another place for them, a
            /// rich-text element `{"type": "mentions"}`. To a private channel they are invited like members.
            #[must_use]
            pub fn mention(mut self, mention: impl IntoIterator<Item = impl Into<String>>) -> Self {
                self.audience.mention = Some(addresses(mention));
                self
            }

            /// The person whose action the message reports, by e-mail address. They are not mentioned.
            #[must_use]
            pub fn actor(mut self, actor: impl Into<String>) -> Self {
                self.audience.actor = Some(Confidential(actor.into()));
                self
            }

            /// Leaves out entries that are not e-mail addresses, and reports them in the outcome: as `skipped` those
            /// of the members, as `not_mentioned` those whom the message addresses. Without it, the request is refused.
            #[must_use]
            pub fn skip_invalid_addresses(mut self) -> Self {
                self.audience.on_invalid_address = Some(OnInvalidAddress::Skip);
                self
            }

            /// Lets `<!channel>`, `<!here>` and `<!everyone>` notify everybody. Without it they are plain text.
            #[must_use]
            pub fn allow_broadcast(mut self) -> Self {
                self.audience.allow_broadcast = Some(true);
                self
            }
        })*
    };
}

audience_methods!(NotifyPrivateChannel, NotifyPublicChannel);

/// Creates a channel, or invites the members that are not in it yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateChannel {
    channel_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Confidential<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Confidential<String>>,
}

impl CreateChannel {
    /// A private channel.
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            visibility: None,
            members: None,
            on_invalid_address: None,
            topic: None,
            purpose: None,
        }
    }

    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.members = Some(addresses(members));
        self
    }

    /// Leaves out entries that are not e-mail addresses, and reports them in the outcome's `skipped`. Without it, the
    /// request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }

    /// What the channel is about right now, at most 250 characters. Set only on a new channel.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(Confidential(topic.into()));
        self
    }

    /// What the channel is for, at most 250 characters. Set only on a new channel.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(Confidential(purpose.into()));
        self
    }
}

/// Posts to a private channel, which is created if it does not exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyPrivateChannel {
    channel_name: String,
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Addresses>,
    #[serde(flatten)]
    audience: Audience,
    #[serde(flatten)]
    notice: Notice,
}

impl NotifyPrivateChannel {
    pub fn new(channel_name: impl Into<String>, message: impl Into<Message>) -> Self {
        Self {
            channel_name: channel_name.into(),
            message: message.into(),
            members: None,
            audience: Audience::default(),
            notice: Notice::default(),
        }
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.members = Some(addresses(members));
        self
    }
}

/// Posts to a public channel, which must exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyPublicChannel {
    channel_name: String,
    message: Message,
    #[serde(flatten)]
    audience: Audience,
    #[serde(flatten)]
    notice: Notice,
}

impl NotifyPublicChannel {
    pub fn new(channel_name: impl Into<String>, message: impl Into<Message>) -> Self {
        Self {
            channel_name: channel_name.into(),
            message: message.into(),
            audience: Audience::default(),
            notice: Notice::default(),
        }
    }
}

/// Posts a direct message to a person, unless they do not want it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyPerson {
    email: Confidential<String>,
    message: Message,
    #[serde(flatten)]
    notice: Notice,
}

impl NotifyPerson {
    /// `email` is the person's address. Broadcasts in the message are plain text.
    pub fn new(email: impl Into<String>, message: impl Into<Message>) -> Self {
        Self {
            email: Confidential(email.into()),
            message: message.into(),
            notice: Notice::default(),
        }
    }
}

/// Records an item's new version, and updates its card: one message in a channel that shows the item's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateItem {
    item_id: String,
    version: u64,
    channel_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    own_channel: bool,
    title: Confidential<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Confidential<String>>,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<Confidential<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Confidential<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reminders: Option<Confidential<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
}

impl UpdateItem {
    /// `item_id` has at most 250 visible characters. `version` is higher after each change: one that is not newer than a
    /// known one changes nothing. The channel is private, and is created if it does not exist.
    pub fn new(
        item_id: impl Into<String>,
        version: u64,
        channel_name: impl Into<String>,
        title: impl Into<String>,
        state: impl Into<String>,
    ) -> Self {
        Self {
            item_id: item_id.into(),
            version,
            channel_name: channel_name.into(),
            visibility: None,
            own_channel: false,
            title: Confidential(title.into()),
            link: None,
            state: state.into(),
            next_step: None,
            facts: None,
            waiting_for: None,
            due_date: None,
            reminders: None,
            on_invalid_address: None,
        }
    }

    /// The channel's visibility. A public channel must exist.
    #[must_use]
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// The channel is about this item alone, so the card is pinned. Not for a public channel.
    #[must_use]
    pub fn own_channel(mut self) -> Self {
        self.own_channel = true;
        self
    }

    /// Where the item is worked on: an https URL.
    #[must_use]
    pub fn link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(Confidential(link.into()));
        self
    }

    /// What the readers should do next.
    #[must_use]
    pub fn next_step(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(Confidential(next_step.into()));
        self
    }

    /// What else the card shows: at most 10 lines.
    #[must_use]
    pub fn facts(mut self, facts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let facts = facts.into_iter().map(Into::into);
        self.facts = Some(Confidential(facts.collect()));
        self
    }

    /// The people who must act now, by e-mail address, at most 50. The card names them, and mentions nobody.
    #[must_use]
    pub fn waiting_for(mut self, people: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.waiting_for = Some(addresses(people));
        self
    }

    /// The day by which they must act, for example `2026-12-01`.
    #[must_use]
    pub fn due_date(mut self, date: impl Into<String>) -> Self {
        self.due_date = Some(date.into());
        self
    }

    /// Changes when people are reminded of this item, and whom to tell if they don't act: an object with the fields that
    /// `docs/reminders.md` describes, for example `{"escalateTo": ["eve@example.com"]}`.
    #[must_use]
    pub fn reminders(mut self, settings: Value) -> Self {
        self.reminders = Some(Confidential(settings));
        self
    }

    /// Leaves out entries of `waiting_for` that are not e-mail addresses. Without it, the request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }
}

/// Invites and removes members of an existing channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeChannelMembers {
    channel_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_invalid_address: Option<OnInvalidAddress>,
}

impl ChangeChannelMembers {
    /// Needs [`add_members`](Self::add_members), [`remove_members`](Self::remove_members) or both.
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            add: None,
            remove: None,
            on_invalid_address: None,
        }
    }

    /// The people who should be in the channel, by e-mail address, at most 1,000. Those who want Slack notifications
    /// are invited.
    #[must_use]
    pub fn add_members(mut self, add: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.add = Some(addresses(add));
        self
    }

    /// The people to remove from the channel, by e-mail address, at most 1,000, whatever their preference. Nobody may
    /// be in both lists.
    #[must_use]
    pub fn remove_members(mut self, remove: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.remove = Some(addresses(remove));
        self
    }

    /// Leaves out entries that are not e-mail addresses, and reports them in the outcome's `skipped`. Without it, the
    /// request is refused.
    #[must_use]
    pub fn skip_invalid_addresses(mut self) -> Self {
        self.on_invalid_address = Some(OnInvalidAddress::Skip);
        self
    }
}

/// Asks whether the bot sees a channel with this name, archived or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckChannelExists {
    channel_name: String,
}

impl CheckChannelExists {
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
        }
    }
}

/// Renames and archives a channel, so that its name is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteChannel {
    channel_name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    even_if_not_ours: bool,
}

impl DeleteChannel {
    pub fn new(channel_name: impl Into<String>) -> Self {
        Self {
            channel_name: channel_name.into(),
            even_if_not_ours: false,
        }
    }

    /// Deletes the channel even if the bot has not created it. A bot can't undo that. Without it, the execution fails
    /// with `Channel.NotOurs`.
    #[must_use]
    pub fn even_if_not_ours(mut self) -> Self {
        self.even_if_not_ours = true;
        self
    }
}

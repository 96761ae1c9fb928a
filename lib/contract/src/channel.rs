//! Channels: their names, and what a workflow knows about a channel.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use crate::message::shows_nothing;

/// The name of a channel as people can give it: 1 to 80 characters, without upper-case letters, white space and
/// punctuation other than `-` and `_`, at least one of them a letter or a digit. Letters may be of any script. A leading
/// `#`, as people write it, is dropped.
///
/// Source: Slack's `conversations.create`, errors `invalid_name_*`; go-gitea/gitea#38608 for other scripts, of which
/// Slack's documentation says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChannelName(String);

impl ChannelName {
    pub const MAX_CHARACTERS: usize = 80;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a bot can create a channel with this name. Source: Slack's `conversations.create`, "Naming".
    pub fn can_be_created(&self) -> bool {
        self.0.is_ascii()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ChannelName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let name = composed(name.strip_prefix('#').unwrap_or(&name));
        if name.is_empty() {
            return Err("must not be empty");
        }
        if name.chars().count() > Self::MAX_CHARACTERS {
            return Err("must have at most 80 characters");
        }
        if !name.chars().all(is_of_a_name) {
            return Err("must contain only lower-case letters, digits, - and _");
        }
        if !name.chars().any(char::is_alphanumeric) {
            return Err("must contain a letter or a digit");
        }
        Ok(Self(name))
    }
}

/// The name as it is compared: `é` can be one character or two (Unicode's forms NFC and NFD), and macOS writes two.
pub fn composed(name: &str) -> String {
    let composer = ComposingNormalizerBorrowed::new_nfc();
    composer.normalize(name).into_owned()
}

/// Beyond ASCII, only what surely is in no name is refused: a name that does not exist is not found.
fn is_of_a_name(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    }
    let is_lower_case = c.to_lowercase().eq([c]);
    is_lower_case && !shows_nothing(c)
}

/// A channel's topic or purpose: 1 to 250 characters.
///
/// Source: Slack's `conversations.setTopic` and `.setPurpose`, error `too_long`. `Debug` shows its
/// size only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChannelText(String);

impl ChannelText {
    pub const MAX_CHARACTERS: usize = 250;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.chars().count())
    }
}

impl TryFrom<String> for ChannelText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() {
            return Err("must not be empty");
        }
        if text.chars().count() > Self::MAX_CHARACTERS {
            return Err("must have at most 250 characters");
        }
        Ok(Self(text))
    }
}

/// Who can find a channel in Slack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Visibility {
    /// Everybody in the workspace.
    Public,
    /// Its members only.
    #[default]
    Private,
}

impl Visibility {
    pub fn from_is_private(is_private: bool) -> Self {
        if is_private {
            Self::Private
        } else {
            Self::Public
        }
    }

    pub fn is_private(self) -> bool {
        self == Self::Private
    }
}

/// A channel, as steps pass it on and workflows return it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
pub struct ChannelRef {
    /// Slack's id, for example `C012AB3CD`.
    pub id: String,
    /// The channel's current name in Slack.
    pub name: String,
    /// Who can find it.
    pub visibility: Visibility,
    /// The visibility that the request asked for, if the channel already existed with the other one. A
    /// workflow does not change the visibility of an existing channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Visibility"))]
    pub requested_visibility: Option<Visibility>,
    /// Whether the channel is archived. Nobody can post to an archived channel, and a bot can't unarchive it.
    pub archived: bool,
    /// Whether this execution created the channel.
    pub created: bool,
    /// Whether the bot created the channel, in this execution or at any time before. Left out if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub ours: Option<bool>,
    /// Whether another organisation can read the channel (Slack Connect, `is_ext_shared`).
    #[serde(default)]
    pub externally_shared: bool,
    /// When Slack last confirmed all of this, in milliseconds since the epoch: the time before Slack was asked. Left
    /// out by releases before 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub confirmed_at: Option<u64>,
}

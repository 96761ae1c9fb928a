//! Tells somebody that an item is overdue, by a direct message, and the item's channel that they know.
//!
//! Each of the two messages is posted exactly once for an item and its due date, whichever execution does it, and neither
//! once the item has moved. A channel that can't be used does not keep the person from being told.

mod content;

use std::sync::Arc;

use apgl_contract::{
    ChannelName, ChannelRef, DirectMessage, DueDate, Email, ErrorName, Invocation, ItemId, Skipped,
    StepError, StepFailure,
    outcome::{MessageOutcome, PostedMessage},
};
use apgl_delivery::{Content, SlackOutbox, Target, WhileItHolds, attempt_id, deliver};
use apgl_directory::Directory;
use apgl_reminders::{Escalation, Waiting};
use apgl_runtime::SettingError;
use apgl_slack::{LimitedBy, RateLimiter, SlackClient};
use apgl_stores::{Deliveries, Delivery, Place, Planner, despite_conflicts};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::content::{Message, Story};

#[derive(Debug)]
pub struct Deps {
    pub directory: Directory,
    pub deliveries: Deliveries,
    pub planner: Planner,
}

impl Deps {
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            directory: Directory::from_env(aws, slack)?,
            deliveries: Deliveries::from_env(aws)?,
            planner: Planner::from_env(aws)?,
        })
    }
}

impl LimitedBy for Deps {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            directory: self.directory.limited_by(limiter),
            deliveries: self.deliveries.clone(),
            planner: self.planner.clone(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    pub item_id: ItemId,
    pub due_date: DueDate,
    /// The direct message with whom to tell; `None` if nobody may be written to.
    pub conversation: Option<DirectMessage>,
    /// The item's channel; `None` if it can't be used.
    pub channel: Option<ChannelRef>,
    /// Why it can't be used.
    #[serde(default)]
    pub channel_failure: Option<StepFailure>,
    /// The name by which the item knows it.
    pub channel_name: ChannelName,
    /// Those who were passed over, and why.
    pub skipped: Vec<Skipped>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub escalated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Email>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_message: Option<MessageOutcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_not_told: Option<StepFailure>,
    pub skipped: Vec<Skipped>,
}

pub async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<Outcome, StepError> {
    let mut outcome = Outcome {
        skipped: input.skipped.clone(),
        ..Outcome::default()
    };
    let items = &deps.planner.items;
    let Some(item) = items.latest(&input.item_id).await? else {
        return Ok(outcome);
    };
    let rows = items.waiting(&input.item_id).await?;
    let rows: Vec<Waiting> = rows.into_iter().map(|row| row.waiting).collect();
    let story = Story::new(&item, &rows);
    let escalation = Escalating {
        deps,
        invocation,
        input: &input,
    };
    if let Some(conversation) = &input.conversation {
        let target = Target::Person(conversation);
        let message = story.to_person();
        let posted = escalation.post(target, Purpose::Person, &message).await?;
        let Some(mut posted) = posted else {
            return Ok(outcome);
        };
        // An earlier execution may have told somebody else.
        let is_here = posted.channel_id.is_none();
        outcome.told = is_here.then(|| conversation.email.clone());
        posted.channel_id.get_or_insert(conversation.id.clone());
        outcome.message = Some(MessageOutcome::Posted(posted));
    }
    let told = input
        .conversation
        .as_ref()
        .filter(|_| outcome.told.is_some());
    let told = told.map(|told| &told.user_id);
    let purpose = match outcome.message {
        Some(_) => Purpose::ChannelToo,
        None => Purpose::ChannelOnly,
    };
    match escalation
        .tell_channel(purpose, &story.to_channel(told))
        .await
    {
        Ok(Some(posted)) => {
            outcome.channel.clone_from(&input.channel);
            outcome.channel_message = Some(MessageOutcome::Posted(posted));
        }
        Ok(None) => {}
        Err(error) if outcome.message.is_some() && does_slack_refuse(&error) => {
            tracing::warn!(%error, "the item's channel could not be told");
            outcome.channel_not_told = Some(StepFailure::from(&error));
        }
        Err(error) => return Err(error),
    }
    outcome.escalated = outcome.message.is_some() || outcome.channel_message.is_some();
    if outcome.escalated {
        escalation.record(outcome.told.as_ref()).await?;
        tracing::info!(
            item.version = item.version.get(),
            members.skipped = outcome.skipped.len(),
            "escalated the item"
        );
    }
    Ok(outcome)
}

/// Whether Slack, or what people have done in Slack, keeps the channel from being told.
fn does_slack_refuse(error: &StepError) -> bool {
    error.name().is_fixed_in_slack() || error.name() == ErrorName::SlackMessageRejected
}

/// The messages of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Person,
    /// The person was told, so the channel is told as well, even if work is over by now.
    ChannelToo,
    ChannelOnly,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::ChannelToo | Self::ChannelOnly => "channel",
        }
    }
}

struct Escalating<'a> {
    deps: &'a Deps,
    invocation: &'a Invocation,
    input: &'a Input,
}

impl Escalating<'_> {
    /// Posts in the item's channel. `None` if the item has moved.
    async fn tell_channel(
        &self,
        purpose: Purpose,
        message: &Message,
    ) -> Result<Option<PostedMessage>, StepError> {
        let (input, run) = (self.input, &self.invocation.run);
        if let Some(channel) = &input.channel {
            let posted = self.post(Target::Channel(channel), purpose, message).await;
            return posted.map_err(|error| error.or_look_up_again(run));
        }
        if purpose == Purpose::ChannelOnly && !self.holds(purpose).await? {
            return Ok(None);
        }
        let failure = input.channel_failure.clone();
        let failure = failure.ok_or_else(|| StepError::StepMalformed {
            field: "input.channel".to_owned(),
            rule: "is required, or `channelFailure`".to_owned(),
        })?;
        Err(StepError::of_earlier_step(
            failure,
            &input.channel_name,
            run,
        ))
    }

    /// Posts this message of the escalation exactly once. `None` if the item has moved.
    async fn post(
        &self,
        target: Target<'_>,
        purpose: Purpose,
        message: &Message,
    ) -> Result<Option<PostedMessage>, StepError> {
        let Self {
            deps,
            invocation,
            input,
        } = self;
        let due_date = input.due_date.date();
        let id = &input.item_id;
        let delivery = Delivery::of_no_execution(
            format!("#escalate/{id}/{due_date}#{}", purpose.as_str()),
            &attempt_id(invocation),
            Place::in_channel(target.id()),
            invocation.deadline,
        );
        let content = Content {
            text: &message.text,
            blocks: Some(&message.blocks),
            unfurl_links: false,
            unfurl_media: false,
            mentions_people: input.conversation.is_some(),
        };
        let outbox = SlackOutbox::new(&deps.directory, invocation, target, content, &delivery);
        let outbox = WhileItHolds::new(outbox, async || self.holds(purpose).await);
        match deliver(&deps.deliveries, &outbox, &delivery).await {
            Ok(MessageOutcome::Posted(posted)) => Ok(Some(posted)),
            Ok(_) => Err(StepError::StepBug {
                what: "an escalation neither expires nor is in a sequence".into(),
            }),
            Err(error) if outbox.is_dropped(&error) => Ok(None),
            Err(error) => Err(target.step_error(&deps.directory, error).await),
        }
    }

    /// Whether the item still waits for somebody, with the same due date, and it is time to tell somebody.
    async fn holds(&self, purpose: Purpose) -> Result<bool, StepError> {
        let planner = &self.deps.planner;
        let (items, id) = (&planner.items, &self.input.item_id);
        let (Some(row), Some(item)) = (items.escalating(id).await?, items.latest(id).await?) else {
            return Ok(false);
        };
        // The item may belong in another channel by now.
        let channel = self.input.channel.as_ref();
        let is_here = item.channel_name == self.input.channel_name
            && channel.is_none_or(|channel| channel.visibility == item.visibility);
        let now = planner.as_of(row.next_look_at, planner.now().await?);
        // A snooze can be taken back, so it does not count any more here.
        let plan = planner.escalation(&row, &item, None, now);
        let is_time = plan == Some(Escalation::Due) || purpose == Purpose::ChannelToo;
        Ok(is_here && row.due_date == self.input.due_date && plan.is_some() && is_time)
    }

    /// Records that somebody was told of this due date.
    async fn record(&self, told: Option<&Email>) -> Result<(), StepError> {
        let planner = &self.deps.planner;
        let (items, id) = (&planner.items, &self.input.item_id);
        despite_conflicts(async || {
            let row = items.escalating(id).await?;
            let Some(mut row) = row.filter(|row| row.due_date == self.input.due_date) else {
                return Ok(Some(()));
            };
            row.escalated_at = Some(planner.now().await?);
            row.told = told.cloned();
            row.next_look_at = None;
            let is_kept = items.keep_escalating(id, &row).await?;
            Ok(is_kept.then_some(()))
        })
        .await
    }
}

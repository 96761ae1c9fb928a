//! The card's channel in Slack.

use std::time::SystemTime;

use apgl_contract::{
    Invocation, Item, MessageTs, StepError,
    outcome::{MessageOutcome, PostedMessage},
};
use apgl_delivery::{NotDelivered, SlackOutbox, Target, card::Board, deliver};
use apgl_slack::{SlackError, Update};
use apgl_stores::{Delivery, Place};

use crate::{Deps, Input, content::Content};

pub(crate) struct SlackBoard<'a> {
    pub deps: &'a Deps,
    pub invocation: &'a Invocation,
    pub input: &'a Input,
    pub attempt_id: &'a str,
}

/// A version of the item, and what the card shows of it.
pub(crate) struct Version {
    pub item: Item,
    pub content: Content,
}

impl SlackBoard<'_> {
    fn target(&self) -> Target<'_> {
        Target::Channel(&self.input.channel)
    }
}

impl Board for SlackBoard<'_> {
    type Content = Version;

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn channel(&self) -> &str {
        &self.input.channel.id
    }

    async fn read(&self) -> Result<Option<(u64, Version)>, StepError> {
        // Its row may have expired, or somebody may have deleted it.
        let Some(item) = self.deps.items.latest(&self.input.item_id).await? else {
            tracing::warn!("the item is no longer known");
            return Ok(None);
        };
        // A private version's text must not go to the public channel of an earlier one.
        let is_here = item.channel_name == self.input.channel_name
            && item.visibility == self.input.channel.visibility;
        if !is_here {
            tracing::info!("the item has moved to another channel");
            return Ok(None);
        }
        let content = Content::of(&item);
        Ok(Some((item.version.get(), Version { item, content })))
    }

    async fn confirm(&self) -> Result<(), StepError> {
        let (directory, invocation) = (&self.deps.directory, self.invocation);
        // Boxed, because its future is large and rarely needed.
        Box::pin(self.target().confirm(directory, false, invocation)).await
    }

    async fn post(&self, number: u32, version: &Version) -> Result<PostedMessage, NotDelivered> {
        let delivery = Delivery::of_no_execution(
            format!("#card/{}#{number}", self.input.item_id),
            self.attempt_id,
            Place::in_channel(self.channel()),
            self.invocation.deadline,
        );
        let content = apgl_delivery::Content {
            text: &version.content.text,
            blocks: Some(&version.content.blocks),
            unfurl_links: false,
            unfurl_media: false,
            mentions_people: false,
        };
        let Deps {
            directory,
            deliveries,
            ..
        } = self.deps;
        let outbox = SlackOutbox::new(
            directory,
            self.invocation,
            self.target(),
            content,
            &delivery,
        );
        match deliver(deliveries, &outbox, &delivery).await? {
            MessageOutcome::Posted(posted) => Ok(posted),
            _ => Err(NotDelivered::Ledger(StepError::StepBug {
                what: "a card neither expires nor is in a sequence".into(),
            })),
        }
    }

    async fn update(&self, ts: &MessageTs, version: &Version) -> Result<(), SlackError> {
        let directory = &self.deps.directory;
        let update = Update {
            channel: self.channel(),
            ts: ts.as_str(),
            text: &version.content.text,
            blocks: &version.content.blocks,
        };
        let updated = self
            .target()
            .reach(directory, self.channel(), async || {
                directory.slack.chat_update(update).await
            })
            .await;
        match updated {
            // Source: the errors of <https://docs.slack.dev/reference/methods/chat.update>.
            Err(SlackError::Rejected {
                method,
                code,
                detail,
            }) if code == "is_inactive" => {
                let code = "is_archived".to_owned();
                Err(SlackError::Rejected {
                    method,
                    code,
                    detail,
                })
            }
            updated => updated,
        }
    }
}

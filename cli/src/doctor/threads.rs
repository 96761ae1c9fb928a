//! Whether the bot may read the replies in a thread of a channel. After a reply whose outcome is unknown, it looks for
//! it there.
//!
//! Slack's page of conversations.replies contradicts itself about bot tokens, so `apgl doctor --deep` tries it. It only
//! reads, and nobody sees it.

use apgl_slack::{SlackClient, SlackError, Span};

use super::finding::Finding;

/// How many of the bot's channels are tried to find a message.
const CHANNELS_TO_TRY: usize = 20;

pub(super) async fn check(slack: &SlackClient) -> Finding {
    match replies_can_be_read(slack).await {
        Ok(Some(())) => Finding::good("threads: the bot can read the replies in its channels"),
        Ok(None) => Finding::warning(
            "threads not checked: none of the bot's channels has a message",
            "invite the bot to a channel that has messages, and check again",
        ),
        Err(error @ (SlackError::Rejected { .. } | SlackError::Unauthorized { .. })) => {
            Finding::bad(
                format!("threads: {error}"),
                "send no replies (threadTs): a reply whose outcome is unknown could not be looked for",
            )
        }
        Err(error) => Finding::warning(
            format!("threads not checked: {error}"),
            "check again when Slack can be reached from here",
        ),
    }
}

/// `None` if there is no message to try it with.
async fn replies_can_be_read(slack: &SlackClient) -> Result<Option<()>, SlackError> {
    let channels = slack.users_conversations(None).await?.items;
    let channels = channels.iter().filter(|channel| !channel.is_archived);
    for channel in channels.take(CHANNELS_TO_TRY) {
        let page = slack
            .conversations_history(&channel.id, Span::ALL, None)
            .await?;
        if let Some(message) = page.items.first() {
            slack
                .conversations_replies(&channel.id, &message.ts, Span::ALL, None)
                .await?;
            return Ok(Some(()));
        }
    }
    Ok(None)
}

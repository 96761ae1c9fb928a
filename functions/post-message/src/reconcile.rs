//! Finding a delivery's message in Slack: by the hash that it carries, among those of our own bot.

use std::time::{Duration, SystemTime};

use apgl_contract::MessageTs;
use apgl_slack::{HistoryMessage, Metadata, SlackError};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Deps, Input};

/// The `event_type` of our messages' metadata.
const METADATA_TYPE: &str = "apgl_delivery";
/// Slack's clock and ours may differ by this much.
const CLOCK_MARGIN: Duration = Duration::from_mins(1);

/// Every member of the channel can read a message's metadata, so it holds a hash and no data.
pub(crate) fn metadata(delivery_id: &str) -> Metadata {
    let hash = Sha256::digest(delivery_id);
    let event_payload = [(
        "delivery".to_owned(),
        json!(base16ct::lower::encode_string(&hash)),
    )]
    .into_iter()
    .collect();
    Metadata {
        event_type: METADATA_TYPE.to_owned(),
        event_payload,
    }
}

/// Looks for this delivery's message among those of our bot since the first attempt that may have
/// posted it.
pub(crate) async fn find_posted(
    deps: &Deps,
    input: &Input,
    metadata: &Metadata,
    since: SystemTime,
) -> Result<Option<MessageTs>, SlackError> {
    let slack = &deps.directory.slack;
    let bot_id = slack.auth_test().await?.bot_id;
    let oldest = slack_time(since - CLOCK_MARGIN);
    let mut cursor = None;
    loop {
        let page = match &input.message.thread_ts {
            None => {
                slack
                    .conversations_history(&input.channel.id, &oldest, cursor.as_deref())
                    .await
            }
            Some(thread) => {
                let thread = thread.as_str();
                slack
                    .conversations_replies(&input.channel.id, thread, &oldest, cursor.as_deref())
                    .await
            }
        };
        let page = match page {
            // Who is not in the channel has not posted there.
            Err(error) if error.rejected_code() == Some("not_in_channel") => return Ok(None),
            page => page?,
        };
        let ours = |message: &&HistoryMessage| {
            message.bot_id == bot_id && message.metadata.as_ref() == Some(metadata)
        };
        if let Some(message) = page.items.iter().find(ours) {
            return Ok(MessageTs::try_from(message.ts.clone()).ok());
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(None);
        }
    }
}

/// A time as Slack writes it: seconds since the epoch, with six decimals.
fn slack_time(time: SystemTime) -> String {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}.{:06}",
        since_epoch.as_secs(),
        since_epoch.subsec_micros()
    )
}

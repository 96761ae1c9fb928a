use serde_json::json;

use super::{Answer, Call, Refusal, micros, page, refuse, shapes};
use crate::workspace::{Channel, Message, Workspace};

/// Newest first, without replies.
pub(super) fn history(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = readable(workspace, call)?;
    let range = Range::of(call)?;
    let messages: Vec<&Message> = channel
        .messages
        .iter()
        .rev()
        .filter(|message| !message.is_reply() && range.holds(&message.ts))
        .collect();
    listed(workspace, call, channel, &messages)
}

/// The thread's parent first, whatever the range, then its replies, oldest first. Asked with the `ts` of a reply, Slack
/// returns only that reply: slackapi/bolt-python#783.
pub(super) fn replies(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let channel = readable(workspace, call)?;
    let range = Range::of(call)?;
    let thread = call.required("ts")?;
    if !channel.messages.iter().any(|message| message.ts == thread) {
        return refuse("thread_not_found");
    }
    let messages: Vec<&Message> = channel
        .messages
        .iter()
        .filter(|message| {
            let is_reply = message.thread_ts.as_deref() == Some(thread) && range.holds(&message.ts);
            message.ts == thread || is_reply
        })
        .collect();
    listed(workspace, call, channel, &messages)
}

fn readable<'w>(workspace: &'w Workspace, call: &Call<'_>) -> Result<&'w Channel, Refusal> {
    let channel = call.channel(workspace)?;
    call.needs_for(channel, "history")?;
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    Ok(channel)
}

fn listed(
    workspace: &Workspace,
    call: &Call<'_>,
    channel: &Channel,
    messages: &[&Message],
) -> Answer {
    let with_metadata = call.flag("include_all_metadata");
    let limit = call.page_limit(workspace, 100, 999)?;
    let (messages, metadata) = page(workspace, call, limit, messages, |message| {
        let mut shown = shapes::message(channel, message);
        if !message.reactions.is_empty() {
            shown["reactions"] = shapes::reactions(message);
        }
        if let Some(metadata) = message.metadata.as_ref().filter(|_| with_metadata) {
            shown["metadata"] = metadata.clone();
        }
        Some(shown)
    })?;
    let has_more = metadata["next_cursor"] != "";
    Ok(json!({ "messages": messages, "has_more": has_more, "response_metadata": metadata }))
}

/// From `oldest` to `latest`. The bounds themselves are included only with `inclusive`.
struct Range {
    oldest: u64,
    latest: u64,
    inclusive: bool,
}

impl Range {
    fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        let bound = |name, default, error| match call.argument(name) {
            None => Ok(default),
            Some(ts) => micros(ts).map_or_else(|| refuse(error), Ok),
        };
        Ok(Self {
            oldest: bound("oldest", 0, "invalid_ts_oldest")?,
            latest: bound("latest", u64::MAX, "invalid_ts_latest")?,
            inclusive: call.flag("inclusive"),
        })
    }

    fn holds(&self, ts: &str) -> bool {
        let ts = micros(ts).unwrap_or_default();
        let is_bound = ts == self.oldest || ts == self.latest;
        (self.oldest..=self.latest).contains(&ts) && (self.inclusive || !is_bound)
    }
}

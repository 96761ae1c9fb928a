//! Pins.

use serde_json::{Value, json};

use super::{Answer, Call, Refusal, refuse, shapes};
use crate::workspace::{Channel, Pinned, Workspace, epoch_micros};

const MAX_PINS: usize = 100;

pub(super) fn add(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (channel, ts) = pinned_in(workspace, call)?;
    let id = channel.id.clone();
    let is_full = pinned(channel).count() >= MAX_PINS;
    let pin = Pinned {
        by: call.token.bot_user_id.clone(),
        at: epoch_micros() / 1_000_000,
    };
    let channel = workspace.channel_mut(&id);
    match channel.and_then(|channel| channel.message_mut(&ts)) {
        Some(message) if message.pinned.is_some() => refuse("already_pinned"),
        Some(_) if is_full => refuse("too_many_pins"),
        Some(message) => {
            message.pinned = Some(pin);
            Ok(json!({}))
        }
        None => refuse("message_not_found"),
    }
}

pub(super) fn remove(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let (channel, ts) = pinned_in(workspace, call)?;
    let id = channel.id.clone();
    let channel = workspace.channel_mut(&id);
    match channel.and_then(|channel| channel.message_mut(&ts)?.pinned.take()) {
        Some(_) => Ok(json!({})),
        None => refuse("no_pin"),
    }
}

fn pinned_in<'w>(
    workspace: &'w Workspace,
    call: &Call<'_>,
) -> Result<(&'w Channel, String), Refusal> {
    call.needs("pins:write")?;
    let channel = call.channel(workspace)?;
    if !call.is_in(channel) {
        return refuse("not_in_channel");
    }
    let message = call.message(channel)?;
    Ok((channel, message.ts.clone()))
}

/// The latest pin first.
pub(super) fn list(workspace: &Workspace, call: &Call<'_>) -> Answer {
    call.needs("pins:read")?;
    let channel = call.channel(workspace)?;
    let mut items: Vec<(u64, Value)> = pinned(channel).collect();
    items.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
    Ok(json!({ "items": items }))
}

fn pinned(channel: &Channel) -> impl Iterator<Item = (u64, Value)> {
    channel.messages.iter().filter_map(|message| {
        let pin = message.pinned.as_ref()?;
        let mut shown = shapes::message(channel, message);
        shown["permalink"] = json!(shapes::permalink(channel, message));
        shown["pinned_to"] = json!([channel.id]);
        let item = json!({
            "type": "message",
            "channel": channel.id,
            "created": pin.at,
            "created_by": pin.by,
            "message": shown,
        });
        Some((pin.at, item))
    })
}

//! The outcome of an operation, as text.

use std::fmt::Write;

use apgl_client::outcome::Outcome;
use apgl_contract::{ChannelRef, Email};

use crate::report::{BAD, GOOD, styled};

/// An outcome, one part per line.
pub(super) fn shown(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut line = |what: String| {
        let _ = writeln!(text, "{what}");
    };
    if let Some(message) = &outcome.message {
        let twice = if message.duplicate {
            "; an earlier attempt had already posted it"
        } else {
            ""
        };
        let elsewhere = message.channel_id.as_ref().map_or_else(String::new, |id| {
            format!(" in channel {id}, which had the name then")
        });
        let ts = message.ts.as_str();
        line(format!(
            "{} message {ts}{elsewhere}{twice}",
            styled(GOOD, "posted")
        ));
    }
    match (outcome.exists, outcome.deleted) {
        (Some(true), _) => line(styled(GOOD, "the channel exists")),
        (Some(false), _) => line(styled(BAD, "the bot can't see the channel")),
        (_, Some(true)) => line(styled(GOOD, "archived")),
        (_, Some(false)) => line("there was nothing to archive".to_owned()),
        _ => {}
    }
    if let Some(channel) = &outcome.channel {
        line(shown_channel(channel));
    }
    if let Some(members) = &outcome.members {
        for (what, emails) in [
            ("invited", &members.invited),
            ("removed", &members.removed),
            ("already there", &members.already_members),
        ] {
            for email in emails {
                line(format!("{what:<14}{}", Email::as_str(email)));
            }
        }
        for skipped in &members.skipped {
            let (email, reason) = (skipped.email.as_str(), skipped.reason.as_str());
            line(format!("{:<14}{email}  ({reason})", "skipped"));
        }
    }
    text.trim_end().to_owned()
}

fn shown_channel(channel: &ChannelRef) -> String {
    let visibility = if channel.visibility.is_private() {
        "private"
    } else {
        "public"
    };
    let mut facts = vec![visibility, channel.id.as_str()];
    if channel.created {
        facts.push("new");
    }
    if channel.archived {
        facts.push("archived");
    }
    format!("{:<14}#{}  ({})", "channel", channel.name, facts.join(", "))
}

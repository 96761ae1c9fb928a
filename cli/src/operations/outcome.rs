//! The outcome of an operation, as text.

use std::fmt::Write;

use apgl_client::outcome::{MessageOutcome, Outcome, PostedMessage, Skipped};
use apgl_contract::{ChannelRef, Email};

use crate::report::{BAD, GOOD, styled};

/// An outcome, one part per line.
pub(super) fn shown(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut line = |what: String| {
        let _ = writeln!(text, "{what}");
    };
    match &outcome.message {
        Some(MessageOutcome::Posted(message)) => line(shown_message(message)),
        Some(MessageOutcome::NotPosted(reason)) => {
            let what = styled(BAD, format!("not posted: {}", reason.as_str()));
            line(what);
        }
        None => {}
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
            line(shown_skipped("skipped", skipped));
        }
    }
    for skipped in &outcome.skipped {
        line(shown_skipped("skipped", skipped));
    }
    if let Some(message) = outcome.message.as_ref().and_then(MessageOutcome::posted) {
        for email in &message.mentioned {
            line(format!("{:<14}{}", "mentioned", email.as_str()));
        }
        for skipped in &message.not_mentioned {
            line(shown_skipped("not mentioned", skipped));
        }
    }
    text.trim_end().to_owned()
}

fn shown_message(message: &PostedMessage) -> String {
    let twice = if message.duplicate {
        "; an earlier attempt had already posted it"
    } else {
        ""
    };
    let elsewhere = message.channel_id.as_ref().map_or_else(String::new, |id| {
        let is_direct = id.starts_with('D');
        let which = if is_direct {
            "direct message"
        } else {
            "channel"
        };
        let then = if is_direct {
            ""
        } else {
            ", which had the name then"
        };
        format!(" in {which} {id}{then}")
    });
    let ts = message.ts.as_str();
    format!("{} message {ts}{elsewhere}{twice}", styled(GOOD, "posted"))
}

fn shown_skipped(what: &str, skipped: &Skipped) -> String {
    let (email, reason) = (skipped.email.as_str(), skipped.reason.as_str());
    format!("{what:<14}{email}  ({reason})")
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
    if channel.ours == Some(false) {
        facts.push("not ours");
    }
    if channel.externally_shared {
        facts.push("shared with another organisation");
    }
    format!("{:<14}#{}  ({})", "channel", channel.name, facts.join(", "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::new(json!({ "created": true, "ours": true }), "(public, C1, new)")]
    #[case::of_somebody_else(json!({ "ours": false }), "(public, C1, not ours)")]
    #[case::unknown(json!({}), "(public, C1)")]
    #[case::shared(
        json!({ "ours": true, "externallyShared": true }),
        "(public, C1, shared with another organisation)"
    )]
    fn a_channel_is_shown_with_what_is_special_about_it(
        #[case] fields: Value,
        #[case] expected: &str,
    ) {
        let mut channel = json!({
            "id": "C1", "name": "x", "visibility": "public", "archived": false, "created": false,
        });
        let fields = fields.as_object().unwrap().clone();
        channel.as_object_mut().unwrap().extend(fields);
        let shown = shown_channel(&serde_json::from_value(channel).unwrap());
        assert!(shown.ends_with(expected), "{shown}");
    }
}

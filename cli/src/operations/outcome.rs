//! The outcome of an operation, as text.

use std::fmt::Write;

use apgl_client::outcome::{MessageOutcome, NotPosted, Outcome, PostedMessage, Skipped};
use apgl_contract::{
    ChannelRef, Email,
    item::{CardChange, CardOutcome},
};

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
            line(format!(
                "{}: {}",
                styled(BAD, "not posted"),
                why_not_posted(*reason)
            ));
        }
        Some(_) => line(styled(
            BAD,
            "not posted, for a reason that this version of apgl does not know",
        )),
        None => {}
    }
    match (outcome.exists, outcome.deleted) {
        (Some(true), _) => line(styled(GOOD, "the channel exists")),
        (Some(false), _) => line(styled(BAD, "the bot can't see the channel")),
        (_, Some(true)) => line(styled(GOOD, "archived")),
        (_, Some(false)) => line("there was nothing to archive".to_owned()),
        _ => {}
    }
    if let Some(item) = outcome.item.as_ref().filter(|item| item.superseded) {
        let version = item.version.get();
        line(format!("version {version} is known: nothing to do"));
    }
    if let Some(card) = &outcome.card {
        line(shown_card(card));
    }
    for of in &outcome.reminded {
        line(format!(
            "{:<14}{} ({})",
            "reminded of", of.item_id, of.stage
        ));
    }
    if outcome.escalated == Some(false) {
        line("the item has moved: nobody was told".to_owned());
    }
    if let Some(told) = &outcome.told {
        line(format!("{:<14}{}", "told", told.as_str()));
    }
    if let Some(MessageOutcome::Posted(message)) = &outcome.channel_message {
        line(shown_message(message));
    }
    if let Some(failure) = &outcome.channel_not_told {
        let (what, reason) = (styled(BAD, "channel not told"), &failure.reason);
        line(format!("{what}: {reason} ({})", failure.error));
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

/// The name of the outcome's field, and what it means.
pub fn why_not_posted(reason: NotPosted) -> String {
    let meaning = match reason {
        NotPosted::Expired => "the request's expiresAt passed before it could be posted",
        NotPosted::Superseded => "a message with a higher number in its sequence has been posted",
        _ => "for a reason that this version of apgl does not know",
    };
    format!("{} ({meaning})", reason.as_str())
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

fn shown_card(card: &CardOutcome) -> String {
    let (version, ts) = (card.version.get(), card.ts.as_str());
    let did = match card.change {
        CardChange::Posted => format!("{} card {ts}", styled(GOOD, "posted")),
        CardChange::Updated => format!("{} card {ts}", styled(GOOD, "updated")),
        CardChange::Unchanged => format!("card {ts} shows version {version} already"),
        _ => format!("card {ts} shows version {version}"),
    };
    match (&card.not_pinned, card.pinned) {
        (Some(code), _) => format!("{did}; {} ({code})", styled(BAD, "not pinned")),
        (None, Some(true)) => format!("{did}; pinned"),
        (None, _) => did,
    }
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

    fn shown_plainly(outcome: Value) -> String {
        let text = shown(&serde_json::from_value(outcome).unwrap());
        anstream::adapter::strip_str(&text).to_string()
    }

    #[rstest]
    #[case::expired(
        json!({ "message": { "expired": true }, "skipped": [] }),
        "not posted: expired (the request's expiresAt passed before it could be posted)"
    )]
    #[case::superseded(
        json!({ "message": { "superseded": true }, "skipped": [] }),
        "not posted: superseded (a message with a higher number in its sequence has been posted)"
    )]
    #[case::skipped(
        json!({ "skipped": [{ "email": "ana@example.com", "reason": "opted_out" }] }),
        "skipped       ana@example.com  (opted_out)"
    )]
    #[case::only_to_a_person(
        json!({ "escalated": true, "told": "eve@example.com", "skipped": [], "channelNotTold":
            { "error": "Channel.Archived", "reason": "channel `x` is archived" } }),
        "told          eve@example.com\nchannel not told: channel `x` is archived (Channel.Archived)"
    )]
    #[case::posted(
        json!({ "message": { "ts": "1.2", "duplicate": false, "channelId": "D1" }, "skipped": [] }),
        "posted message 1.2 in direct message D1"
    )]
    fn the_outcome_of_a_direct_message_says_what_became_of_it(
        #[case] outcome: Value,
        #[case] expected: &str,
    ) {
        assert_eq!(shown_plainly(outcome), expected);
    }

    #[rstest]
    #[case::posted(
        json!({ "ts": "1.2", "version": 7, "change": "posted", "pinned": true }),
        "posted card 1.2; pinned"
    )]
    #[case::not_pinned(
        json!({ "ts": "1.2", "version": 7, "change": "posted", "pinned": false, "notPinned": "too_many_pins" }),
        "posted card 1.2; not pinned (too_many_pins)"
    )]
    #[case::updated(json!({ "ts": "1.2", "version": 7, "change": "updated" }), "updated card 1.2")]
    #[case::unchanged(
        json!({ "ts": "1.2", "version": 7, "change": "unchanged" }),
        "card 1.2 shows version 7 already"
    )]
    #[case::unknown(
        json!({ "ts": "1.2", "version": 7, "change": "moved" }),
        "card 1.2 shows version 7"
    )]
    fn what_was_done_with_a_card_is_shown(#[case] card: Value, #[case] expected: &str) {
        let item = json!({ "id": "bounty:7", "version": 7, "superseded": false });
        assert_eq!(
            shown_plainly(json!({ "item": item, "card": card })),
            expected
        );
    }

    #[test]
    fn an_item_that_was_superseded_says_which_version_is_known() {
        let item = json!({ "id": "bounty:7", "version": 9, "superseded": true });
        assert_eq!(
            shown_plainly(json!({ "item": item })),
            "version 9 is known: nothing to do"
        );
    }

    #[test]
    fn those_whom_a_message_addresses_are_shown_with_the_reason_why_some_are_not_mentioned() {
        let shown = shown_plainly(json!({ "message": {
            "ts": "1.2", "duplicate": false, "mentioned": ["ana@example.com"],
            "notMentioned": [{ "email": "bob@example.com", "reason": "opted_out" }],
        } }));
        let expected = [
            "posted message 1.2",
            "mentioned     ana@example.com",
            "not mentioned bob@example.com  (opted_out)",
        ];
        assert_eq!(shown, expected.join("\n"));
    }

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

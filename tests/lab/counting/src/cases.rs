//! Typical notifications, one after another.

use std::fmt;

use apgl_contract::ItemId;
use apgl_rate_limit::{RateLimits, SlackClock};
use apgl_slack::quotas::quota_named;
use apgl_stores::{Items, Table};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use local_stack::TOKEN;
use serde_json::json;
use slack_sandbox::{
    Seed,
    faults::{Fault, How},
    seed::{ChannelSeed, TokenSeed},
};

use crate::{
    Error,
    counter::{CHANNELS_TABLE, Counter, ITEMS_TABLE, RATE_LIMITS_TABLE},
    work::Work,
};

const PRIVATE: &str = "notify-private-channel";
const PUBLIC: &str = "notify-public-channel";
const PERSON: &str = "notify-person";
const ITEM: &str = "update-item";
const REMIND: &str = "remind";
const MESSAGE: &str = "The content item is ready for your review.";
/// The tokens from the first public notification on, from the first direct message on, and from the first item on.
const PUBLIC_TOKEN: &str = "xoxb-public";
const DIRECT_TOKEN: &str = "xoxb-direct";
const ITEM_TOKEN: &str = "xoxb-item";
const MANY: usize = 10;
/// The lead of other executions' posts in the channel, in seconds; Slack takes one post a second.
const QUEUE: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    FirstByColdFunctions,
    First,
    FirstToMany,
    Repeated,
    RepeatedToMany,
    Confirmed,
    Public,
    PublicInAQueue,
    PublicRefused,
    Receipt,
    ReceiptOfMany,
    Direct,
    DirectAgain,
    Card,
    CardAgain,
    Reminder,
}

impl Case {
    pub const ALL: [Self; 16] = [
        Self::FirstByColdFunctions,
        Self::First,
        Self::FirstToMany,
        Self::Repeated,
        Self::RepeatedToMany,
        Self::Confirmed,
        Self::Public,
        Self::PublicInAQueue,
        Self::PublicRefused,
        Self::Receipt,
        Self::ReceiptOfMany,
        Self::Direct,
        Self::DirectAgain,
        Self::Card,
        Self::CardAgain,
        Self::Reminder,
    ];

    /// A letter, for places where a sentence would be too long.
    pub fn letter(self) -> char {
        char::from(b'A' + self as u8)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstByColdFunctions => {
                "first to a new private channel, 1 new member, every function cold"
            }
            Self::First => "first to a new private channel, 1 new member",
            Self::FirstToMany => "first to a new private channel, 10 new members",
            Self::Repeated => "repeated to a known private channel, 1 known member",
            Self::RepeatedToMany => "repeated to a known private channel, 10 known members",
            Self::Confirmed => {
                "repeated to a known private channel that Slack must confirm, 1 known member"
            }
            Self::Public => "repeated to a known public channel",
            Self::PublicInAQueue => "repeated to a known public channel, waits once for its turn",
            Self::PublicRefused => {
                "repeated to a known public channel, refused once by Slack's limit"
            }
            Self::Receipt => "the receipt of a notification to 1 person",
            Self::ReceiptOfMany => "the receipt of a notification to 10 people",
            Self::Direct => "first direct message to a person",
            Self::DirectAgain => "repeated direct message to a person",
            Self::Card => "a new item, its card posted and pinned in a known channel",
            Self::CardAgain => "a new version of an item, its card updated",
            Self::Reminder => "a repeated reminder of one item",
        })
    }
}

/// Runs each case once, all but the first with warm functions. On a busy machine a function may read the token
/// again in the middle of a case, because the token has expired in its cache.
pub async fn run(counter: &Counter) -> Result<Vec<(Case, Work)>, Error> {
    let people = settle(counter).await?;
    let mut works = Vec::new();
    for case in Case::ALL {
        if case == Case::Direct {
            renew_token(counter, DIRECT_TOKEN, PUBLIC_TOKEN).await?;
            // Until now the function that opens direct messages is cold.
            counter.rest().await?;
            counter.count(PERSON, &direct(&people[MANY + 3])).await?;
        }
        if case == Case::Card {
            renew_token(counter, ITEM_TOKEN, DIRECT_TOKEN).await?;
            set_calendar(counter, "2026-11-30T08:00:00Z").await?;
            // Until now the functions for items are cold.
            counter.rest().await?;
            counter.count(ITEM, &item("another-item", 1)).await?;
        }
        if case == Case::Reminder {
            set_calendar(counter, "2026-12-01T17:00:00Z").await?;
            // Until now the functions for reminders are cold, and there is no direct message with the person.
            counter.rest().await?;
            counter
                .count(REMIND, &reminder(counter, "2026-12-01").await?)
                .await?;
            set_calendar(counter, "2026-12-02T09:00:00Z").await?;
        }
        if case == Case::Public {
            renew_token(counter, PUBLIC_TOKEN, TOKEN).await?;
            // The first post to a public channel triggers a scan, which finds all channels.
            for channel in [Case::Public, Case::PublicInAQueue, Case::PublicRefused] {
                counter.rest().await?;
                counter.count(PUBLIC, &request(channel, &[])).await?;
            }
        }
        counter.rest().await?;
        arrange(counter, case).await?;
        let members = members(case, &people);
        let request = request(case, members);
        let work = match case {
            Case::Receipt | Case::ReceiptOfMany => {
                let outcome = repeated(case, members);
                counter
                    .count_receipt(&channel(case), &request, &outcome)
                    .await?
            }
            Case::Public | Case::PublicInAQueue | Case::PublicRefused => {
                counter.count(PUBLIC, &request).await?
            }
            Case::Direct | Case::DirectAgain => counter.count(PERSON, &direct(&members[0])).await?,
            Case::Card => counter.count(ITEM, &item("item", 1)).await?,
            Case::CardAgain => counter.count(ITEM, &item("item", 2)).await?,
            Case::Reminder => {
                let reminder = reminder(counter, "2026-12-02").await?;
                counter.count(REMIND, &reminder).await?
            }
            _ => counter.count(PRIVATE, &request).await?,
        };
        works.push((case, work));
    }
    Ok(works)
}

/// Adds people and public channels to Slack. Returns the people's addresses.
async fn settle(counter: &Counter) -> Result<Vec<String>, Error> {
    let names = (0..MANY + 4).map(|n| format!("person{n:02}"));
    let emails = counter.settle(names).await?;
    let public = [Case::Public, Case::PublicInAQueue, Case::PublicRefused];
    let channels = public.map(|case| ChannelSeed {
        name: channel(case),
        ..ChannelSeed::default()
    });
    let seed = Seed {
        channels: channels.into(),
        ..Seed::default()
    };
    counter.sandbox.seed(&seed).await?;
    Ok(emails)
}

/// A function reads the token again when its cached copy expires, in whichever notification that happens. A new
/// token makes each function do so at its next call to Slack, which is outside the counted cases.
async fn renew_token(counter: &Counter, token: &str, revoked: &str) -> Result<(), Error> {
    counter.sandbox.add_token(&TokenSeed::new(token)).await?;
    counter.stack.put_token(token).await?;
    Ok(counter.sandbox.revoke_token(revoked).await?)
}

/// The request for a direct message.
fn direct(email: &str) -> serde_json::Value {
    json!({ "email": email, "message": MESSAGE })
}

/// The request for a version of an item.
fn item(id: &str, version: u64) -> serde_json::Value {
    json!({
        "itemId": id, "version": version, "channelName": channel(Case::Card), "ownChannel": true,
        "title": "Rust on Lambda", "link": "https://example.com/guide-42", "state": "in_review",
        "waitingFor": ["person00@example.com"], "dueDate": "2026-12-01",
    })
}

/// The request for a reminder of the person for whom the item waits.
async fn reminder(counter: &Counter, day: &str) -> Result<serde_json::Value, Error> {
    let id = ItemId::try_from("item".to_owned()).map_err(uncounted)?;
    let rows = items(counter).waiting(&id).await.map_err(uncounted)?;
    let user = rows.first().map(|row| row.waiting.user_id.clone());
    Ok(json!({ "userId": user, "day": day }))
}

async fn set_calendar(counter: &Counter, now: &str) -> Result<(), Error> {
    let now = now.parse::<Timestamp>().map_err(uncounted)?;
    items(counter).set_calendar(now).await.map_err(uncounted)
}

fn items(counter: &Counter) -> Items {
    let client = aws_sdk_dynamodb::Client::new(counter.aws());
    Items::new(Table::new(client, ITEMS_TABLE.to_owned()))
}

fn uncounted(error: impl fmt::Display) -> Error {
    Error::Uncounted(error.to_string())
}

fn request(case: Case, members: &[String]) -> serde_json::Value {
    let mut request = json!({ "channelName": channel(case), "message": MESSAGE });
    if !members.is_empty() {
        request["members"] = json!(members);
    }
    request
}

/// The request of a repeated notification, to a known channel with known members.
fn repeated(case: Case, members: &[String]) -> serde_json::Value {
    json!({
        "channel": {
            "id": "C00000001", "name": channel(case), "visibility": "private", "archived": false,
            "created": false,
        },
        "members": { "invited": [], "alreadyMembers": members, "skipped": [] },
        "message": { "ts": "1795000003.000100", "duplicate": false },
    })
}

/// The channel of a case. Repeated notifications go to the same channel as the first one.
fn channel(case: Case) -> String {
    let case = match case {
        Case::Repeated | Case::Confirmed | Case::Card | Case::CardAgain => Case::First,
        Case::RepeatedToMany => Case::FirstToMany,
        first => first,
    };
    format!("content-item-{}", case.letter().to_ascii_lowercase())
}

fn members(case: Case, people: &[String]) -> &[String] {
    match case {
        Case::FirstByColdFunctions => &people[..1],
        Case::First | Case::Repeated | Case::Confirmed | Case::Receipt => &people[1..2],
        Case::FirstToMany | Case::RepeatedToMany | Case::ReceiptOfMany => &people[2..MANY + 2],
        Case::Direct | Case::DirectAgain => &people[MANY + 2..MANY + 3],
        Case::Public
        | Case::PublicInAQueue
        | Case::PublicRefused
        | Case::Card
        | Case::CardAgain
        | Case::Reminder => &[],
    }
}

async fn arrange(counter: &Counter, case: Case) -> Result<(), Error> {
    match case {
        Case::Confirmed => end_trust(counter, case).await,
        Case::PublicInAQueue => others_post(counter, case).await,
        Case::PublicRefused => {
            let refusal = How::RateLimited { retry_after: 1 };
            let fault = Fault::new("chat.postMessage", refusal).times(1);
            Ok(counter.sandbox.add_fault(&fault).await?)
        }
        _ => Ok(()),
    }
}

/// Makes the table's entry older than it is trusted for.
async fn end_trust(counter: &Counter, case: Case) -> Result<(), Error> {
    let update = aws_sdk_dynamodb::Client::new(counter.aws())
        .update_item()
        .table_name(CHANNELS_TABLE)
        .key("name", AttributeValue::S(channel(case)))
        .update_expression("SET seenAt = :longAgo")
        .expression_attribute_values(":longAgo", AttributeValue::N("0".to_owned()));
    let updated = update.send().await;
    updated.map_err(uncounted)?;
    Ok(())
}

/// Uses up some of the channel's quota, as other executions' posts would.
async fn others_post(counter: &Counter, case: Case) -> Result<(), Error> {
    let channel = counter.sandbox.channel(&channel(case)).await?;
    let id = channel.map(|channel| channel.id).unwrap_or_default();
    let client = aws_sdk_dynamodb::Client::new(counter.aws());
    let limits = RateLimits::new(client, RATE_LIMITS_TABLE.to_owned());
    let quota = quota_named(&format!("chat.postMessage#{id}"));
    let now = SlackClock::default().now();
    let taken = limits.take(&quota, QUEUE, now, None).await;
    taken.map_err(uncounted)?;
    Ok(())
}

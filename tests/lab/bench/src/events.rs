//! Creates a new event for each invocation of a function, and the Slack data that these events need.
//!
//! Each event makes its function do its work: what is already in the table would need no call to Slack.

use std::iter;

use local_stack::{invoke::channel_ref, stack::ACCOUNT};
use serde_json::{Value, json};
use slack_sandbox::{Admin, Seed, admin::ChannelState, seed::ChannelSeed, workspace::User};

use crate::Error;

/// The channel of the events that do not change their channel.
const CHANNEL: &str = "bench";

/// The number of users or channels that one request adds to Slack. A request is limited to 2 MB.
const OF_A_REQUEST: usize = 5_000;
/// The number of addresses that one event resolves; the function looks them up in parallel.
const ADDRESSES: usize = 10;

/// What is in Slack.
#[derive(Debug)]
pub struct Scene {
    channels: Vec<ChannelState>,
    events_of_a_build: usize,
}

impl Scene {
    /// Fills the workspace for `events` events of each function, in each of `builds` builds.
    pub async fn set(
        sandbox: &Admin,
        events_of_a_build: usize,
        builds: usize,
    ) -> Result<Self, Error> {
        let events = events_of_a_build * builds;
        let users: Vec<User> = (0..events * ADDRESSES).map(user).collect();
        let to_archive = (0..events).map(|n| ChannelSeed {
            created_by_bot: true,
            ..channel(&to_archive(n))
        });
        let empty = (0..builds).map(|build| channel(&empty(build)));
        let of_a_build = users[..events].chunks(events_of_a_build).enumerate();
        let full = of_a_build.map(|(build, users)| ChannelSeed {
            members: users.iter().map(|user| user.id.clone()).collect(),
            ..channel(&full(build))
        });
        let channels = iter::once(channel(CHANNEL)).chain(empty).chain(full);
        let channels: Vec<ChannelSeed> = channels.chain(to_archive).collect();
        let users = users.chunks(OF_A_REQUEST).map(|some| Seed {
            users: some.to_vec(),
            ..Seed::default()
        });
        let channels = channels.chunks(OF_A_REQUEST).map(|some| Seed {
            channels: some.to_vec(),
            ..Seed::default()
        });
        for seed in users.chain(channels) {
            sandbox.seed(&seed).await?;
        }
        let channels = sandbox.channels().await?;
        Ok(Self {
            channels,
            events_of_a_build,
        })
    }

    /// The `n`th event of a function; `None` if the function is not listed here.
    pub fn event(&self, function: &str, n: usize) -> Option<Value> {
        let input = match function {
            "check-request" => json!({
                "operation": "notify-private-channel",
                "request": {
                    "channelName": CHANNEL,
                    "message": "The content item is ready for your review.",
                    "members": [email(n)],
                },
            }),
            "filter-by-preference" => json!({ "members": [email(n)] }),
            "resolve-users" => {
                let people = (n * ADDRESSES..).take(ADDRESSES);
                json!({ "emails": people.map(email).collect::<Vec<_>>() })
            }
            "find-channel" => json!({ "channelName": CHANNEL, "verify": true }),
            "ensure-channel" => {
                json!({ "channelName": format!("bench-new-{n}"), "visibility": "private" })
            }
            "invite-members" => {
                let empty = empty(n / self.events_of_a_build);
                json!({ "channel": self.channel(&empty)?, "users": [person(n)] })
            }
            "remove-members" => {
                let full = full(n / self.events_of_a_build);
                json!({ "channel": self.channel(&full)?, "users": [person(n)] })
            }
            "open-conversation" => json!({ "users": [person(n)] }),
            "post-message" => json!({
                "channel": self.channel(CHANNEL)?,
                "message": { "text": "The content item is ready for your review." },
            }),
            "record-item" => json!({ "item": item(n) }),
            "plan-reminders" => json!({ "item": item(n), "users": [person(n)] }),
            "find-reminder" => {
                json!({ "userId": person(n)["id"], "day": "2026-12-01", "part": "first" })
            }
            "find-escalation" => json!({ "itemId": item(n)["id"], "dueDate": "2026-12-01" }),
            // The item is not overdue.
            "send-escalation" => json!({
                "itemId": item(n)["id"], "dueDate": "2026-12-01", "conversation": null,
                "channel": self.channel(CHANNEL)?, "skipped": [],
            }),
            // Nothing is due for these people.
            "send-reminder" => json!({
                "userId": person(n)["id"], "day": "2026-12-01", "part": "first",
                "conversation": { "id": "D1", "email": email(n), "userId": person(n)["id"] },
                "users": [person(n)], "skipped": [],
            }),
            // `record-item` has recorded the item before, in its own turn.
            "update-card" => json!({
                "channel": self.channel(CHANNEL)?, "channelName": CHANNEL, "itemId": item(n)["id"],
            }),
            "archive-channel" => {
                let name = to_archive(n);
                json!({ "channelName": name, "channel": self.channel(&name)? })
            }
            "publish-metrics" => json!({ "finalError": "Channel.NotFound" }),
            _ => return event_of_a_service(function),
        };
        let execution = format!(
            "arn:aws:states:us-east-1:{ACCOUNT}:execution:apgl-notify-private-channel:bench-{function}-{n}"
        );
        let run = json!({ "executionId": execution, "workflow": "apgl-notify-private-channel" });
        Some(json!({ "run": run, "input": input }))
    }

    fn channel(&self, name: &str) -> Option<Value> {
        let channel = self.channels.iter().find(|channel| channel.name == name);
        channel.map(channel_ref)
    }
}

/// The events of functions that no workflow invokes. They start the same execution every time, so that one
/// execution runs instead of thousands.
fn event_of_a_service(function: &str) -> Option<Value> {
    match function {
        "watch-executions" | "sweep-reminders" => Some(json!({})),
        "record-outcome" => {
            let id = "apgl-notify-private-channel:bench-record-outcome";
            let change = json!({ "detail": {
                "executionArn": format!("arn:aws:states:us-east-1:{ACCOUNT}:execution:{id}"),
                "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:apgl-notify-private-channel",
                "name": "bench-record-outcome", "status": "RUNNING", "startDate": 1_795_000_000_000_u64,
                "input": json!({ "channelName": CHANNEL, "message": "hi" }).to_string(),
            } });
            Some(json!({ "Records": [{ "messageId": "1", "body": change.to_string() }] }))
        }
        "mpc-event-handler" => Some(json!({
            "version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602",
            "detail-type": "Content Item State Changed", "source": "apgl.mpc", "account": ACCOUNT,
            "time": "2026-11-25T10:00:00Z", "region": "us-east-1", "resources": [],
            "detail": {
                "channelName": "bench-item", "members": [],
                "contentItem": {
                    "title": "Rust on Lambda", "link": "https://example.com/guide-42",
                    "state": "approved", "actor": "Bob",
                },
            },
        })),
        "mpc-content-bounty-processor" => {
            let body = json!({
                "id": "bench",
                "bounty": {
                    "title": "A guide", "link": "https://example.com/bounties/7",
                    "state": "expiring", "dueDate": "2026-12-01", "reward": "A signed book",
                },
            });
            let record = json!({
                "messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb78",
                "receiptHandle": "handle",
                "body": body.to_string(),
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:apgl-mpc-content-bounties"),
                "awsRegion": "us-east-1",
            });
            Some(json!({ "Records": [record] }))
        }
        "mpc-request-handler" => {
            let body = json!({ "message": "Hello" });
            let route = "POST /contexts/{channelName}/messages";
            let path = "/contexts/bench-request/messages";
            Some(json!({
                "version": "2.0", "routeKey": route, "rawPath": path,
                "pathParameters": { "channelName": "bench-request" }, "rawQueryString": "",
                "isBase64Encoded": false, "body": body.to_string(),
                "headers": { "content-type": "application/json", "idempotency-key": "bench" },
                "requestContext": {
                    "accountId": ACCOUNT, "apiId": "api", "domainName": "example.com",
                    "domainPrefix": "api", "requestId": "request", "routeKey": route,
                    "stage": "$default", "time": "25/Nov/2026:10:00:00 +0000",
                    "timeEpoch": 1_795_600_800_000_u64,
                    "http": {
                        "method": "POST", "path": path, "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1", "userAgent": "bench",
                    },
                },
            }))
        }
        _ => None,
    }
}

/// An item's version. Every invocation of one build records another item.
fn item(n: usize) -> Value {
    json!({
        "id": format!("bench-item-{n}"), "version": 1, "channelName": CHANNEL, "visibility": "public",
        "ownChannel": false, "title": "Rust on Lambda", "state": "in_review",
    })
}

fn user(n: usize) -> User {
    User {
        id: format!("UBENCH{n:05}"),
        name: format!("bench{n}"),
        email: Some(email(n)),
        ..User::default()
    }
}

fn email(n: usize) -> String {
    format!("bench{n}@example.com")
}

fn person(n: usize) -> Value {
    json!({ "email": email(n), "id": user(n).id })
}

fn channel(name: &str) -> ChannelSeed {
    ChannelSeed {
        name: name.to_owned(),
        ..ChannelSeed::default()
    }
}

/// The channel that the functions of one build invite people to.
fn empty(build: usize) -> String {
    format!("bench-empty-{build}")
}

/// The channel that they remove people from.
fn full(build: usize) -> String {
    format!("bench-full-{build}")
}

fn to_archive(n: usize) -> String {
    format!("bench-archive-{n}")
}

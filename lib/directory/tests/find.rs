//! Finding a channel while other executions fill the table.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_contract::{ChannelName, Invocation, Run};
use apgl_directory::Directory;
use apgl_slack::{FixedToken, SlackClient, SlackToken};
use apgl_stores::{Channels, Table};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

fn millis(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap();
    since_epoch.as_millis().to_string()
}

/// A fake DynamoDB: another execution's scan completes after the first read of the table.
fn table_that_fills_after_one_look_up() -> Table {
    let look_ups = Arc::new(AtomicUsize::new(0));
    let now = SystemTime::now();
    let scan = json!({
        "name": { "S": "#scan" },
        "lastStartedAt": { "N": millis(now) }, "lastEndedAt": { "N": millis(now) },
        "lastPages": { "N": "1" },
    });
    let channel = json!({
        "name": { "S": "project-x" }, "id": { "S": "C1" }, "slackName": { "S": "project-x" },
        "visibility": { "S": "public" }, "archived": { "BOOL": false },
        "externallyShared": { "BOOL": false },
        "seenAt": { "N": millis(now + Duration::from_secs(1)) },
    });
    let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
        let target = request.headers()["x-amz-target"]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: Value = match target.as_str() {
            "DynamoDB_20120810.BatchGetItem" if look_ups.fetch_add(1, Ordering::SeqCst) == 0 => {
                json!({ "Responses": { "channels": [] }, "UnprocessedKeys": {} })
            }
            "DynamoDB_20120810.BatchGetItem" => {
                json!({ "Responses": { "channels": [scan, channel] }, "UnprocessedKeys": {} })
            }
            _ => {
                let mut claimed = scan.clone();
                claimed["startedAt"] = json!({ "N": millis(SystemTime::now()) });
                json!({ "Attributes": claimed })
            }
        };
        http::Response::builder()
            .status(200)
            .body(SdkBody::from(answer.to_string()))
            .unwrap()
    });
    let dynamodb = Client::new(&fake_aws::config(http));
    Table::new(dynamodb, "channels".to_owned())
}

#[tokio::test]
async fn a_channel_scanned_between_two_look_ups_is_found() {
    // Nothing listens there: the table has all the answers.
    let slack = SlackClient::new(
        "http://127.0.0.1:1/api".parse().unwrap(),
        Arc::new(FixedToken(SlackToken::new("xoxb-1").unwrap())),
    )
    .unwrap();
    let channels = Channels::new(table_that_fills_after_one_look_up());
    let directory = Directory::new(channels, slack, Duration::from_mins(15));
    let invocation = Invocation {
        run: Run {
            execution_id: "execution".to_owned(),
            workflow: "notify-public-channel".to_owned(),
            ..Run::default()
        },
        request_id: "request".to_owned(),
        deadline: SystemTime::now() + Duration::from_mins(1),
    };
    let name = ChannelName::try_from("project-x".to_owned()).unwrap();
    let found = directory
        .find(&name, &invocation, UNIX_EPOCH, |_| true)
        .await
        .unwrap();
    assert_eq!(found.map(|found| found.channel.id).as_deref(), Some("C1"));
}

//! The step writes the snapshot and the members before it sends the first invitation.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_contract::{ErrorName, Invocation, Run};
use apgl_directory::{Directory, People};
use apgl_slack::{FixedToken, SlackClient, SlackToken};
use apgl_stores::{Channels, SlackUsers, Table};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use invite_members::{Deps, Input, handle};
use rstest::rstest;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// An empty DynamoDB that accepts every write, except of items whose key begins with `refused`.
fn dynamodb(refused: &'static str) -> Client {
    Client::new(&fake_aws::config(infallible_client_fn(
        move |request: http::Request<SdkBody>| {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let key = body["Item"]["name"]["S"].as_str().unwrap_or_default();
            let (status, answer) = if key.starts_with(refused) {
                (400, json!({ "__type": "AccessDeniedException" }))
            } else {
                (200, json!({}))
            };
            http::Response::builder()
                .status(status)
                .body(SdkBody::from(answer.to_string()))
                .unwrap()
        },
    )))
}

#[rstest]
#[case::the_first_look("#first-look/")]
#[case::the_members("#members/")]
#[tokio::test]
async fn nobody_is_invited_before_who_is_there_is_written(#[case] refused: &'static str) {
    let server = MockServer::start().await;
    let nothing = Mock::given(any()).respond_with(ResponseTemplate::new(200));
    nothing.expect(0).mount(&server).await;
    let token = FixedToken(SlackToken::new("xoxb-1").unwrap());
    let slack = SlackClient::new(server.uri().parse().unwrap(), Arc::new(token)).unwrap();
    let dynamodb = dynamodb(refused);
    let deps = Deps {
        directory: Directory {
            channels: Channels::new(Table::new(dynamodb.clone(), "channels".to_owned())),
            slack: slack.clone(),
        },
        people: People {
            known: SlackUsers::new(Table::new(dynamodb, "users".to_owned())),
            slack,
        },
    };
    let invocation = Invocation {
        run: Run {
            execution_id: "execution".to_owned(),
            workflow: "notify-private-channel".to_owned(),
            ..Run::default()
        },
        request_id: "request".to_owned(),
        deadline: SystemTime::now() + Duration::from_mins(1),
    };
    let input: Input = serde_json::from_value(json!({
        "channel": {
            "id": "C1", "name": "project-x", "visibility": "private", "archived": false,
            "created": true,
        },
        "users": [{ "email": "ana@example.com", "id": "U1" }],
    }))
    .unwrap();
    let error = handle(&deps, &invocation, input).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::StoreRejected);
}

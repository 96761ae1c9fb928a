//! On which connections calls are sent.

use apgl_slack::{Post, SlackClient};
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::fake_slack::{client_at, metadata};

/// A Slack that answers the first call on each connection. Afterwards the connection stays open, but nothing
/// passes any more, as after a freeze of the function in which the network has forgotten it. Returns its URL.
async fn forgetful_slack() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4_096]).await;
            let body = r#"{"ok":true,"ts":"1.2","channel":{"id":"C1","name":"x"}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = connection.write_all(answer.as_bytes()).await;
            open.push(connection);
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn post(slack: &SlackClient) -> bool {
    let metadata = metadata();
    let post = Post {
        channel: "C1",
        text: "hi",
        blocks: None,
        thread_ts: None,
        unfurl_links: false,
        unfurl_media: false,
        metadata: &metadata,
        not_after: None,
    };
    slack.chat_post_message(post).await.is_ok()
}

async fn join(slack: &SlackClient) -> bool {
    slack.conversations_join("C1").await.is_ok()
}

#[rstest]
#[case::another_post(true)]
#[case::another_call(false)]
#[tokio::test]
async fn a_post_is_not_sent_on_the_connection_of(#[case] a_post: bool) {
    let slack = client_at(&forgetful_slack().await);
    assert!(if a_post {
        post(&slack).await
    } else {
        join(&slack).await
    });
    // On the same connection it would time out, and whether Slack has posted it would be unknown.
    assert!(post(&slack).await);
}

//! The rate limits of methods and channels.

use std::time::Duration;

use serde_json::Value;

use crate::team::{call, post, start, team_messages};

#[tokio::test]
async fn a_rate_limited_method_is_available_again_after_a_minute() {
    let (sandbox, _admin) = start(0.05).await;
    for n in 0..20 {
        let answer = call(
            &sandbox,
            "conversations.create",
            &[("name", &format!("x{n}"))],
        )
        .await
        .unwrap();
        assert_eq!(answer.status(), 200);
    }
    let limited = call(&sandbox, "conversations.create", &[("name", "y")])
        .await
        .unwrap();
    assert_eq!(limited.status(), 429);
    let retry_after: u64 = limited.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&retry_after));
    assert_eq!(
        limited.json::<Value>().await.unwrap()["error"],
        "ratelimited"
    );
    tokio::time::sleep(Duration::from_millis(retry_after * 50 + 50)).await;
    assert_eq!(
        call(&sandbox, "conversations.create", &[("name", "y")])
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_channel_accepts_a_short_burst_and_then_one_message_a_second() {
    let (sandbox, admin) = start(1.0).await;
    for _ in 0..4 {
        assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 200);
    }
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 429);
    assert_eq!(team_messages(&admin).await, 4);
}

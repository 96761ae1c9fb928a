//! The log of calls.

use slack_sandbox::seed::TokenSeed;

use crate::team::{TOKEN, call, start};

#[tokio::test]
async fn the_log_contains_arguments_but_never_the_token() {
    let (sandbox, admin) = start(1.0).await;
    call(
        &sandbox,
        "users.lookupByEmail",
        &[("email", "nobody@example.com")],
    )
    .await
    .unwrap();
    let calls = admin.calls().await.unwrap();
    assert_eq!(calls[0].arguments["email"], "nobody@example.com");
    assert_eq!(calls[0].error.as_deref(), Some("users_not_found"));
    assert!(!format!("{calls:?}").contains(TOKEN));
    assert_eq!(
        admin.call_summary().await.unwrap()["users.lookupByEmail"].total,
        1
    );
}

#[tokio::test]
async fn the_log_distinguishes_two_tokens_by_their_ends() {
    let (sandbox, admin) = start(1.0).await;
    let url = format!("{}/api/auth.test", sandbox.url());
    for token in ["xoxb-the-old-one", "xoxb-the-new-two", "xoxb-short"] {
        admin.add_token(&TokenSeed::new(token)).await.unwrap();
        let call = reqwest::Client::new().post(&url).bearer_auth(token);
        call.send().await.unwrap();
    }
    reqwest::Client::new().post(&url).send().await.unwrap();
    let calls = admin.calls().await.unwrap();
    let ends: Vec<_> = calls.iter().map(|call| call.token_end.as_deref()).collect();
    assert_eq!(ends, [Some("-one"), Some("-two"), None, None]);
}

//! What the sandbox offers besides Slack's methods: limits, faults, seeds, its log and its page.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    Admin, Options, Sandbox, SandboxError, Seed,
    chaos::{Chaos, FaultKind},
    faults::{Effect, Fault, How},
    seed::{Generate, TokenSeed},
    server::ChannelChange,
};

const TOKEN: &str = "xoxb-test";

async fn start(time_factor: f64) -> (Sandbox, Admin) {
    let seed = serde_json::from_value(json!({
        "tokens": [{ "token": TOKEN }],
        "users": [{ "id": "UANA", "name": "ana", "email": "ana@example.com" }],
        "channels": [{ "name": "team", "members": ["ana@example.com"] }],
    }));
    let sandbox = Sandbox::start(Options {
        seed: seed.unwrap(),
        time_factor,
        ..Options::default()
    })
    .await
    .unwrap();
    let admin = Admin::new(sandbox.url());
    (sandbox, admin)
}

async fn call(
    sandbox: &Sandbox,
    method: &str,
    arguments: &[(&str, &str)],
) -> reqwest::Result<reqwest::Response> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    http.post(format!("{}/api/{method}", sandbox.url()))
        .bearer_auth(TOKEN)
        .form(arguments)
        .send()
        .await
}

async fn team_messages(admin: &Admin) -> usize {
    admin.channel("team").await.unwrap().unwrap().messages.len()
}

async fn post(sandbox: &Sandbox, admin: &Admin) -> reqwest::Result<reqwest::Response> {
    let id = admin.channel("team").await.unwrap().unwrap().id;
    call(
        sandbox,
        "chat.postMessage",
        &[("channel", &id), ("text", "hi")],
    )
    .await
}

#[tokio::test]
async fn a_method_is_limited_and_free_again_after_its_minute() {
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
async fn a_channel_takes_a_short_burst_and_then_one_message_a_second() {
    let (sandbox, admin) = start(1.0).await;
    for _ in 0..4 {
        assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 200);
    }
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 429);
    assert_eq!(team_messages(&admin).await, 4);
}

#[tokio::test]
async fn a_late_effect_comes_when_the_sender_is_gone() {
    let (sandbox, admin) = start(0.001).await;
    let late = Fault::new("chat.postMessage", How::Late { millis: 300 }).times(1);
    admin.add_fault(&late).await.unwrap();
    assert!(post(&sandbox, &admin).await.is_err());
    assert_eq!(team_messages(&admin).await, 0);
    while team_messages(&admin).await == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(team_messages(&admin).await, 1);
}

#[tokio::test]
async fn chaos_reigns_until_it_is_ended_and_refuses_what_is_no_rate() {
    let (sandbox, admin) = start(0.001).await;
    let chaos = Chaos {
        kinds: vec![FaultKind::Html500],
        ..Chaos::new(1, 1.0)
    };
    admin.begin_chaos(&chaos).await.unwrap();
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 500);
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 500);
    admin.end_chaos().await.unwrap();
    assert_eq!(post(&sandbox, &admin).await.unwrap().status(), 200);
    let refused = admin.begin_chaos(&Chaos::new(1, 2.0)).await.unwrap_err();
    assert!(refused.to_string().contains("rate: must be"), "{refused}");
}

#[rstest]
#[case(How::RateLimited { retry_after: 7 }, Some(429), 0)]
#[case(How::Html500 { effect: Effect::None }, Some(500), 0)]
#[case(How::Html500 { effect: Effect::Done }, Some(500), 1)]
#[case(How::Error { error: "internal_error".to_owned(), effect: Effect::None }, Some(200), 0)]
#[case(How::Error { error: "internal_error".to_owned(), effect: Effect::Done }, Some(200), 1)]
#[case(How::Reset { effect: Effect::None }, None, 0)]
#[case(How::Reset { effect: Effect::Done }, None, 1)]
#[case(How::Hang { millis: 20, effect: Effect::Done }, None, 1)]
#[case(How::Slow { millis: 20 }, Some(200), 1)]
#[tokio::test]
async fn a_fault_does_what_it_says_once_and_is_logged(
    #[case] how: How,
    #[case] status: Option<u16>,
    #[case] messages: usize,
) {
    let (sandbox, admin) = start(0.001).await;
    admin
        .add_fault(&Fault::new("chat.postMessage", how).times(1))
        .await
        .unwrap();
    let answer = post(&sandbox, &admin).await;
    assert_eq!(answer.ok().map(|answer| answer.status().as_u16()), status);
    assert_eq!(team_messages(&admin).await, messages);
    let logged = admin.calls().await.unwrap().remove(0);
    assert_eq!(logged.status, status.unwrap_or(0));
    assert!(logged.fault.is_some());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next: Value = post(&sandbox, &admin).await.unwrap().json().await.unwrap();
    assert_eq!(next["ok"], true);
}

#[tokio::test]
async fn a_fault_meets_only_the_calls_it_is_for() {
    let (sandbox, admin) = start(1.0).await;
    let fault = Fault::new(
        "*",
        How::Html500 {
            effect: Effect::None,
        },
    );
    admin
        .add_fault(&fault.only_where("users", "U2").skip(1))
        .await
        .unwrap();
    let status = async |users| {
        call(&sandbox, "conversations.invite", &[("users", users)])
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("U1").await, 200);
    assert_eq!(status("U1,U2").await, 200);
    assert_eq!(status("U1,U2").await, 500);
    assert_eq!(status("U2").await, 500);
    admin.clear_faults().await.unwrap();
    assert_eq!(status("U2").await, 200);
}

#[tokio::test]
async fn a_reset_connection_is_an_error_for_the_client() {
    let (sandbox, admin) = start(1.0).await;
    admin
        .add_fault(&Fault::new(
            "auth.test",
            How::Reset {
                effect: Effect::Done,
            },
        ))
        .await
        .unwrap();
    let error = call(&sandbox, "auth.test", &[]).await.unwrap_err();
    assert!(!error.is_connect() && !error.is_timeout());
}

#[tokio::test]
async fn a_reset_brings_the_start_back() {
    let (sandbox, admin) = start(1.0).await;
    call(&sandbox, "conversations.create", &[("name", "x")])
        .await
        .unwrap();
    admin.revoke_token(TOKEN).await.unwrap();
    admin.reset().await.unwrap();
    assert_eq!(admin.channel("x").await.unwrap(), None);
    assert!(admin.channel("team").await.unwrap().is_some());
    assert!(admin.calls().await.unwrap().is_empty());
    let who: Value = call(&sandbox, "auth.test", &[])
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(who["ok"], true);
}

#[tokio::test]
async fn the_log_holds_arguments_and_never_the_token() {
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
async fn the_log_tells_two_tokens_apart_by_their_ends() {
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

#[tokio::test]
async fn users_and_channels_are_made_by_the_hundred_thousand() {
    let (sandbox, admin) = start(1.0).await;
    let generate = Generate {
        users: 100_000,
        channels: 100_000,
    };
    admin
        .seed(&Seed {
            generate,
            ..Seed::default()
        })
        .await
        .unwrap();
    assert!(admin.channel("channel-99999").await.unwrap().is_some());
    let found: Value = call(
        &sandbox,
        "users.lookupByEmail",
        &[("email", "user99999@example.com")],
    )
    .await
    .unwrap()
    .json()
    .await
    .unwrap();
    assert_eq!(found["ok"], true);
    let page = reqwest::get(format!("{}/?q=channel-9999", sandbox.url()))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("channel-99998") && !page.contains("channel-88888"));
}

#[rstest]
#[case(json!({ "channels": [{ "name": "x" }, { "name": "x" }] }), "channels[1].name")]
#[case(json!({ "channels": [{ "name": "team" }] }), "channels[0].name")]
#[case(json!({ "channels": [{ "name": "x", "members": ["nobody@example.com"] }] }), "channels[0].members[0]")]
#[case(json!({ "tokens": [{ "token": "" }] }), "tokens[0].token")]
#[tokio::test]
async fn a_bad_seed_is_refused_whole_with_its_field(#[case] seed: Value, #[case] field: &str) {
    let (_sandbox, admin) = start(1.0).await;
    let seed: Seed = serde_json::from_value(seed).unwrap();
    let refusal = admin.seed(&seed).await.unwrap_err().to_string();
    assert!(refusal.contains(field), "{refusal}");
    assert_eq!(admin.channel("x").await.unwrap(), None);
}

#[tokio::test]
async fn an_admin_request_with_an_unknown_field_is_refused_with_its_name() {
    let (sandbox, _admin) = start(1.0).await;
    let url = format!("{}/admin/seed", sandbox.url());
    let answer = reqwest::Client::new()
        .post(url)
        .json(&json!({ "chanels": [] }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("chanels"));
}

#[tokio::test]
async fn a_fault_for_a_method_that_is_none_is_refused() {
    let (_sandbox, admin) = start(1.0).await;
    assert!(
        admin
            .add_fault(&Fault::new("chat.post", How::Slow { millis: 1 }))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::start(Options {
        listen,
        ..Options::default()
    })
    .await;
    assert!(matches!(refused, Err(SandboxError::NotLoopback(_))));
}

#[rstest]
#[case(0.0)]
#[case(-1.0)]
#[case(f64::NAN)]
#[tokio::test]
async fn a_time_factor_is_above_zero(#[case] time_factor: f64) {
    let refused = Sandbox::start(Options {
        time_factor,
        ..Options::default()
    })
    .await;
    assert!(matches!(refused, Err(SandboxError::TimeFactor)));
}

#[tokio::test]
async fn the_page_shows_messages_and_escapes_them_once() {
    let (sandbox, admin) = start(1.0).await;
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let text = "*bold* <https://example.com/?a=1&amp;b=2|link> &lt;script&gt;alert(1)&lt;/script&gt; <javascript:alert(1)|click>";
    call(
        &sandbox,
        "chat.postMessage",
        &[("channel", &id), ("text", text)],
    )
    .await
    .unwrap();
    let page = page_of(&sandbox, "team").await;
    assert!(page.contains("ana@example.com"));
    assert!(page.contains("<b>bold</b>"));
    assert!(page.contains("<a href=\"https://example.com/?a=1&amp;b=2\">link</a>"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    assert!(!page.contains("javascript:"));
}

async fn page_of(sandbox: &Sandbox, channel: &str) -> String {
    let page = reqwest::get(format!("{}/?channel={channel}", sandbox.url()));
    page.await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn the_page_shows_rich_text_as_it_is() {
    let (sandbox, admin) = start(1.0).await;
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let section = |elements| json!({ "type": "rich_text_section", "elements": elements });
    let link = json!({
        "type": "link", "url": "https://example.com/a", "text": "A *title* <b>",
        "style": { "bold": true },
    });
    let script = json!({ "type": "link", "url": "javascript:alert(1)", "text": "click" });
    let blocks = json!([{ "type": "rich_text", "elements": [
        section(json!([link, script, { "type": "text", "text": "one\ntwo" }])),
        { "type": "rich_text_list", "style": "bullet", "elements": [
            section(json!([{ "type": "text", "text": "a fact" }])),
        ] },
    ] }]);
    let arguments = [
        ("channel", id.as_str()),
        ("text", "x"),
        ("blocks", &blocks.to_string()),
    ];
    call(&sandbox, "chat.postMessage", &arguments)
        .await
        .unwrap();
    let page = page_of(&sandbox, "team").await;
    let title = "<strong><a href=\"https://example.com/a\">A *title* &lt;b&gt;</a></strong>";
    assert!(page.contains(title), "{page}");
    assert!(page.contains("one<br>two"));
    assert!(page.contains("<li><div>a fact</div></li>"));
    assert!(!page.contains("javascript:"));
}

#[tokio::test]
async fn a_token_can_be_added_with_fewer_scopes() {
    let (sandbox, admin) = start(1.0).await;
    admin
        .add_token(&TokenSeed {
            token: "xoxb-poor".to_owned(),
            scopes: ["users:read".to_owned()].into(),
        })
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/api/conversations.list", sandbox.url());
    let answer: Value = http
        .post(url)
        .bearer_auth("xoxb-poor")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["error"], "missing_scope");
}

#[tokio::test]
async fn people_change_a_channel_beside_the_bot() {
    let (_sandbox, admin) = start(1.0).await;
    let change = ChannelChange {
        name: Some("crew".to_owned()),
        is_private: Some(true),
        is_archived: Some(true),
        bot_is_member: Some(false),
    };
    admin.change_channel("team", &change).await.unwrap();
    assert_eq!(admin.channel("team").await.unwrap(), None);
    let crew = admin.channel("crew").await.unwrap().unwrap();
    assert!(crew.is_private && crew.is_archived);
    assert_eq!(crew.members, ["UANA"]);
    let unchanged = ChannelChange::default();
    admin.change_channel("crew", &unchanged).await.unwrap();
    assert_eq!(admin.channel("crew").await.unwrap().unwrap(), crew);
    assert!(admin.change_channel("team", &unchanged).await.is_err());
}

#[tokio::test]
async fn an_address_can_move_to_another_account() {
    let (sandbox, admin) = start(1.0).await;
    for user in [
        json!({ "id": "UANA", "name": "ana", "deleted": true }),
        json!({ "id": "UNEW", "name": "ana", "email": "ana@example.com" }),
    ] {
        let seed: Seed = serde_json::from_value(json!({ "users": [user] })).unwrap();
        admin.seed(&seed).await.unwrap();
    }
    let arguments = [("email", "ana@example.com")];
    let answer = call(&sandbox, "users.lookupByEmail", &arguments).await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["user"]["id"], "UNEW");
}

//! Compares every method of the sandbox with Slack's documentation.
#![allow(clippy::unwrap_used)]

use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{
    Admin, Options, Sandbox, Seed,
    server::Settings,
    workspace::{Pages, Restrictions},
};

const TOKEN: &str = "xoxb-test";

struct Slack {
    http: reqwest::Client,
    sandbox: Sandbox,
    admin: Admin,
}

impl Slack {
    /// Ana and Bob are people; the other users cannot be invited. The bot is in `team`, `closed` and `old`, but not
    /// in `open` and `secret`.
    async fn start() -> Self {
        let seed: Seed = serde_json::from_value(json!({
            "tokens": [{ "token": TOKEN }, { "token": "xoxb-poor", "scopes": ["users:read"] }],
            "users": [
                { "id": "UANA", "name": "ana", "email": "ana@example.com" },
                { "id": "UBOB", "name": "bob", "email": "bob@example.com" },
                { "id": "UGONE", "name": "gone", "email": "gone@example.com", "deleted": true },
                { "id": "UGUEST", "name": "guest", "email": "guest@example.com", "is_restricted": true },
                { "id": "USINGLE", "name": "single", "email": "single@example.com", "is_ultra_restricted": true },
                { "id": "UAPP", "name": "app", "is_bot": true },
            ],
            "channels": [
                { "name": "general" },
                { "name": "team", "members": ["ana@example.com"], "created_by_bot": true },
                { "name": "open", "members": ["USINGLE"], "bot_is_member": false },
                { "name": "closed", "is_private": true },
                { "name": "secret", "is_private": true, "bot_is_member": false },
                { "name": "old", "is_archived": true },
            ],
        })).unwrap();
        let sandbox = Sandbox::start(Options {
            seed,
            ..Options::default()
        })
        .await
        .unwrap();
        let admin = Admin::new(sandbox.url());
        Self {
            http: reqwest::Client::new(),
            sandbox,
            admin,
        }
    }

    async fn call_as(&self, token: &str, method: &str, arguments: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/{method}", self.sandbox.url());
        let answer = self
            .http
            .post(url)
            .bearer_auth(token)
            .form(arguments)
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    }

    async fn call(&self, method: &str, arguments: &[(&str, &str)]) -> Value {
        self.call_as(TOKEN, method, arguments).await
    }

    /// Calls the method with the id of the channel with this name.
    async fn call_in(&self, name: &str, method: &str, arguments: &[(&str, &str)]) -> Value {
        let id = match self.admin.channel(name).await.unwrap() {
            Some(channel) => channel.id,
            None => name.to_owned(),
        };
        let arguments: Vec<_> = [("channel", id.as_str())]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.call(method, &arguments).await
    }

    async fn emails(&self, name: &str) -> Vec<String> {
        self.admin.channel(name).await.unwrap().unwrap().emails
    }
}

fn error(answer: &Value) -> &str {
    if answer["ok"] == true {
        "ok"
    } else {
        answer["error"].as_str().unwrap()
    }
}

#[tokio::test]
async fn only_known_tokens_are_let_in() {
    let slack = Slack::start().await;
    let url = format!("{}/api/auth.test", slack.sandbox.url());
    let without: Value = slack
        .http
        .post(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(error(&without), "not_authed");
    assert_eq!(
        error(&slack.call_as("xoxb-other", "auth.test", &[]).await),
        "invalid_auth"
    );
    let who = slack.call("auth.test", &[]).await;
    assert_eq!((error(&who), who["bot_id"].is_string()), ("ok", true));
    slack.admin.revoke_token(TOKEN).await.unwrap();
    assert_eq!(error(&slack.call("auth.test", &[]).await), "token_revoked");
}

#[tokio::test]
async fn an_unknown_method_is_told() {
    assert_eq!(
        error(&Slack::start().await.call("users.frobnicate", &[]).await),
        "unknown_method"
    );
}

#[rstest]
#[case("users.lookupByEmail", &[("email", "ana@example.com")], "users:read.email")]
#[case("conversations.create", &[("name", "x")], "channels:manage")]
#[case("conversations.create", &[("name", "x"), ("is_private", "true")], "groups:write")]
#[case("conversations.list", &[], "channels:read")]
#[case("conversations.list", &[("types", "private_channel")], "groups:read")]
#[case("conversations.info", &[("channel", "C00000001")], "channels:read")]
#[case("conversations.members", &[("channel", "C00000001")], "channels:read")]
#[case("conversations.invite", &[("channel", "C00000001"), ("users", "UBOB")], "channels:manage")]
#[case("conversations.kick", &[("channel", "C00000003"), ("user", "UBOB")], "groups:write")]
#[case("conversations.archive", &[("channel", "C00000001")], "channels:manage")]
#[case("conversations.rename", &[("channel", "C00000001"), ("name", "x")], "channels:manage")]
#[case("conversations.setTopic", &[("channel", "C00000001")], "channels:manage")]
#[case("conversations.join", &[("channel", "C00000002")], "channels:join")]
#[case("conversations.history", &[("channel", "C00000001")], "channels:history")]
#[case("conversations.history", &[("channel", "C00000003")], "groups:history")]
#[case("chat.postMessage", &[("channel", "C00000001"), ("text", "x")], "chat:write")]
#[tokio::test]
async fn a_missing_scope_is_told_with_what_is_needed(
    #[case] method: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] needed: &str,
) {
    let slack = Slack::start().await;
    let answer = slack.call_as("xoxb-poor", method, arguments).await;
    assert_eq!(error(&answer), "missing_scope");
    assert_eq!(
        (&answer["needed"], &answer["provided"]),
        (&json!(needed), &json!("users:read"))
    );
}

#[rstest]
#[case("project-x", "ok")]
#[case("", "invalid_name_required")]
#[case(&"a".repeat(81), "invalid_name_maxlength")]
#[case("Project", "invalid_name_specials")]
#[case("a b", "invalid_name_specials")]
#[case("a.b", "invalid_name_specials")]
#[case("--", "invalid_name_punctuation")]
#[case("team", "name_taken")]
#[case("old", "name_taken")]
#[case("secret", "name_taken")]
#[tokio::test]
async fn a_channels_name_obeys_slacks_rules(#[case] name: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call("conversations.create", &[("name", name)]).await),
        expected
    );
}

#[tokio::test]
async fn a_new_channel_holds_the_bot_alone() {
    let slack = Slack::start().await;
    let created = slack
        .call(
            "conversations.create",
            &[("name", "x"), ("is_private", "true")],
        )
        .await;
    assert_eq!(created["channel"]["is_private"], true);
    let state = slack.admin.channel("x").await.unwrap().unwrap();
    assert_eq!((state.members.len(), state.emails.len()), (1, 0));
}

#[rstest]
#[case("team", "UBOB", "ok")]
#[case("team", "UANA", "already_in_channel")]
#[case("team", "UGONE", "user_not_found")]
#[case("team", "UNOBODY", "user_not_found")]
#[case("team", "UGUEST", "user_is_restricted")]
#[case("team", "USINGLE", "ura_max_channels")]
#[case("team", "UAPP", "app_cannot_join_channel")]
#[case("team", "U00BOT", "cant_invite_self")]
#[case("team", "", "no_user")]
#[case("open", "UBOB", "not_in_channel")]
#[case("secret", "UBOB", "channel_not_found")]
#[case("nowhere", "UBOB", "channel_not_found")]
#[case("old", "UBOB", "is_archived")]
#[tokio::test]
async fn an_invitation_is_judged_by_user_and_channel(
    #[case] channel: &str,
    #[case] user: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let answer = slack
        .call_in(channel, "conversations.invite", &[("users", user)])
        .await;
    assert_eq!(error(&answer), expected);
}

#[tokio::test]
async fn one_bad_id_fails_the_batch_unless_it_is_forced() {
    let slack = Slack::start().await;
    let users = ("users", "UBOB,UGONE");
    let answer = slack
        .call_in("team", "conversations.invite", &[users])
        .await;
    assert_eq!(
        answer["errors"],
        json!([{ "user": "UGONE", "ok": false, "error": "user_not_found" }])
    );
    assert_eq!(slack.emails("team").await, ["ana@example.com"]);
    let forced = slack
        .call_in("team", "conversations.invite", &[users, ("force", "true")])
        .await;
    assert_eq!(
        (error(&forced), forced["errors"].as_array().unwrap().len()),
        ("ok", 1)
    );
    assert_eq!(
        slack.emails("team").await,
        ["ana@example.com", "bob@example.com"]
    );
}

#[tokio::test]
async fn at_most_a_hundred_are_invited_at_once() {
    let slack = Slack::start().await;
    let users = |count| {
        (0..count)
            .map(|n| format!("U{n}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let answer = slack
        .call_in("team", "conversations.invite", &[("users", &users(101))])
        .await;
    assert_eq!(error(&answer), "invalid_arguments");
    let answer = slack
        .call_in("team", "conversations.invite", &[("users", &users(100))])
        .await;
    assert_eq!(error(&answer), "user_not_found");
}

#[rstest]
#[case("team", "UANA", "ok")]
#[case("team", "UBOB", "not_in_channel")]
#[case("team", "UNOBODY", "user_not_found")]
#[case("team", "U00BOT", "cant_kick_self")]
#[case("general", "UANA", "cant_kick_from_general")]
#[case("open", "USINGLE", "not_in_channel")]
#[tokio::test]
async fn a_kick_is_judged_by_user_and_channel(
    #[case] channel: &str,
    #[case] user: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(
            &slack
                .call_in(channel, "conversations.kick", &[("user", user)])
                .await
        ),
        expected
    );
}

#[rstest]
#[case("team", "ok")]
#[case("old", "already_archived")]
#[case("general", "cant_archive_general")]
#[case("open", "not_in_channel")]
#[case("secret", "channel_not_found")]
#[tokio::test]
async fn a_channel_is_archived_by_a_member_once(#[case] channel: &str, #[case] expected: &str) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call_in(channel, "conversations.archive", &[]).await),
        expected
    );
}

#[tokio::test]
async fn a_rename_frees_the_name() {
    let slack = Slack::start().await;
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.rename", &[("name", "old")])
                .await
        ),
        "name_taken"
    );
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.rename", &[("name", "team-2")])
                .await
        ),
        "ok"
    );
    assert_eq!(
        error(
            &slack
                .call("conversations.create", &[("name", "team")])
                .await
        ),
        "ok"
    );
}

#[tokio::test]
async fn only_who_created_a_channel_may_rename_it() {
    let slack = Slack::start().await;
    let renamed = slack
        .call_in("closed", "conversations.rename", &[("name", "ours")])
        .await;
    assert_eq!(error(&renamed), "not_authorized");
}

#[tokio::test]
async fn a_bot_cant_unarchive() {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call_in("old", "conversations.unarchive", &[]).await),
        "not_allowed_token_type"
    );
}

#[rstest]
#[case("conversations.kick", &[("user", "UANA")], "restricted_action")]
#[case("conversations.archive", &[], "restricted_action")]
#[case("conversations.rename", &[("name", "x")], "restricted_action")]
#[tokio::test]
async fn a_workspace_can_forbid_what_the_scopes_allow(
    #[case] method: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    let restrictions = Restrictions {
        kick: true,
        archive: true,
        rename: true,
        create: true,
    };
    slack
        .admin
        .change_settings(&Settings {
            restrictions: Some(restrictions),
            ..Settings::default()
        })
        .await
        .unwrap();
    assert_eq!(
        error(&slack.call_in("team", method, arguments).await),
        expected
    );
}

#[tokio::test]
async fn joining_a_public_channel_twice_is_a_warning() {
    let slack = Slack::start().await;
    assert!(slack.call_in("open", "conversations.join", &[]).await["warning"].is_null());
    assert_eq!(
        slack.call_in("open", "conversations.join", &[]).await["warning"],
        "already_in_channel"
    );
    assert_eq!(
        error(&slack.call_in("closed", "conversations.join", &[]).await),
        "method_not_supported_for_channel_type"
    );
    assert_eq!(
        error(&slack.call_in("old", "conversations.join", &[]).await),
        "is_archived"
    );
}

#[rstest]
#[case("ana@example.com", "ok")]
#[case("Ana@Example.com", "ok")]
#[case("gone@example.com", "users_not_found")]
#[case("nobody@example.com", "users_not_found")]
#[case("", "invalid_arguments")]
#[tokio::test]
async fn people_are_found_by_address_while_they_are_active(
    #[case] email: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call("users.lookupByEmail", &[("email", email)]).await),
        expected
    );
}

#[tokio::test]
async fn a_users_address_is_shown_with_the_scope_only() {
    let slack = Slack::start().await;
    let info = slack.call("users.info", &[("user", "UGUEST")]).await;
    assert_eq!(
        (
            &info["user"]["is_restricted"],
            &info["user"]["profile"]["email"]
        ),
        (&json!(true), &json!("guest@example.com"))
    );
    let poor = slack
        .call_as("xoxb-poor", "users.info", &[("user", "UGUEST")])
        .await;
    assert!(poor["user"]["profile"]["email"].is_null());
    assert_eq!(
        error(&slack.call("users.info", &[("user", "UNOBODY")]).await),
        "user_not_found"
    );
    assert_eq!(
        slack.call("users.list", &[]).await["members"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
}

/// The names on all pages of a list, and the number of empty pages.
async fn all_pages(slack: &Slack, arguments: &[(&str, &str)]) -> (Vec<String>, usize) {
    let (mut names, mut empty, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let mut arguments = arguments.to_vec();
        arguments.push(("cursor", &cursor));
        let page = slack.call("conversations.list", &arguments).await;
        let channels = page["channels"].as_array().unwrap();
        empty += usize::from(channels.is_empty());
        names.extend(
            channels
                .iter()
                .map(|channel| channel["name"].as_str().unwrap().to_owned()),
        );
        page["response_metadata"]["next_cursor"]
            .as_str()
            .unwrap()
            .clone_into(&mut cursor);
        if cursor.is_empty() {
            return (names, empty);
        }
    }
}

#[tokio::test]
async fn a_list_shows_what_the_bot_sees() {
    let slack = Slack::start().await;
    assert_eq!(
        all_pages(&slack, &[]).await.0,
        ["general", "team", "open", "old"]
    );
    let both = [
        ("types", "public_channel,private_channel"),
        ("exclude_archived", "true"),
    ];
    assert_eq!(
        all_pages(&slack, &both).await.0,
        ["general", "team", "open", "closed"]
    );
}

#[tokio::test]
async fn a_list_goes_on_through_short_and_empty_pages() {
    let slack = Slack::start().await;
    let pages = Pages {
        max_size: Some(2),
        empty_between: true,
    };
    slack
        .admin
        .change_settings(&Settings {
            pages: Some(pages),
            ..Settings::default()
        })
        .await
        .unwrap();
    let (names, empty) = all_pages(&slack, &[("types", "private_channel")]).await;
    assert_eq!(names, ["closed"]);
    assert!(empty >= 3);
}

#[rstest]
#[case(&[("cursor", "nonsense")], "invalid_cursor")]
#[case(&[("limit", "0")], "invalid_limit")]
#[case(&[("limit", "1000")], "invalid_limit")]
#[case(&[("types", "dm")], "invalid_types")]
#[tokio::test]
async fn a_list_refuses_bad_arguments(#[case] arguments: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(
        error(
            &Slack::start()
                .await
                .call("conversations.list", arguments)
                .await
        ),
        expected
    );
}

#[tokio::test]
async fn a_private_channel_is_visible_to_its_members_only() {
    let slack = Slack::start().await;
    for method in [
        "conversations.info",
        "conversations.members",
        "conversations.history",
    ] {
        assert_eq!(
            error(&slack.call_in("secret", method, &[]).await),
            "channel_not_found"
        );
        assert_eq!(error(&slack.call_in("closed", method, &[]).await), "ok");
    }
    assert_eq!(
        error(&slack.call_in("open", "conversations.history", &[]).await),
        "not_in_channel"
    );
    assert_eq!(
        error(&slack.call_in("open", "conversations.members", &[]).await),
        "ok"
    );
}

#[rstest]
#[case("team", &[("text", "hi")], "ok")]
#[case("team", &[("text", "")], "no_text")]
#[case("team", &[("blocks", "[{\"type\":\"divider\"}]")], "ok")]
#[case("team", &[("text", "x"), ("blocks", "{}")], "invalid_blocks_format")]
#[case("team", &[("text", "x"), ("blocks", "[{}]")], "invalid_blocks")]
#[case("team", &[("text", "x"), ("metadata", "x")], "invalid_metadata_format")]
#[case("team", &[("text", "x"), ("metadata", "{\"event_type\":\"e\",\"event_payload\":{\"a\":{}}}")], "invalid_metadata_schema")]
#[case("open", &[("text", "x")], "not_in_channel")]
#[case("secret", &[("text", "x")], "channel_not_found")]
#[case("old", &[("text", "x")], "is_archived")]
#[tokio::test]
async fn a_post_is_judged_by_channel_and_content(
    #[case] channel: &str,
    #[case] arguments: &[(&str, &str)],
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call_in(channel, "chat.postMessage", arguments).await),
        expected
    );
}

#[tokio::test]
async fn blocks_hold_so_many_characters_and_a_long_text_is_cut() {
    let slack = Slack::start().await;
    let section = |length| {
        json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(length) } }])
            .to_string()
    };
    let too_long = slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "x"), ("blocks", &section(13_201))],
        )
        .await;
    assert_eq!(error(&too_long), "msg_blocks_too_long");
    let cut = slack
        .call_in(
            "closed",
            "chat.postMessage",
            &[("text", &"é".repeat(40_001))],
        )
        .await;
    assert_eq!(cut["warning"], "message_truncated");
    assert_eq!(
        cut["message"]["text"].as_str().unwrap().chars().count(),
        40_000
    );
}

#[tokio::test]
async fn metadata_comes_back_only_when_asked_for() {
    let slack = Slack::start().await;
    let metadata = json!({ "event_type": "e", "event_payload": { "n": 1 } });
    slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "hi"), ("metadata", &metadata.to_string())],
        )
        .await;
    let plain = slack.call_in("team", "conversations.history", &[]).await;
    assert!(plain["messages"][0]["metadata"].is_null());
    let all = slack
        .call_in(
            "team",
            "conversations.history",
            &[("include_all_metadata", "true")],
        )
        .await;
    assert_eq!(all["messages"][0]["metadata"], metadata);
}

#[tokio::test]
async fn a_reply_stands_in_its_thread_and_not_in_the_history() {
    let slack = Slack::start().await;
    let settings = Settings {
        limits: Some(false),
        ..Settings::default()
    };
    slack.admin.change_settings(&settings).await.unwrap();
    let parent = slack
        .call_in("team", "chat.postMessage", &[("text", "parent")])
        .await;
    let ts = parent["ts"].as_str().unwrap();
    slack
        .call_in(
            "team",
            "chat.postMessage",
            &[("text", "reply"), ("thread_ts", ts)],
        )
        .await;
    let texts = |answer: Value| {
        answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(slack.call_in("team", "conversations.history", &[]).await),
        ["parent"]
    );
    assert_eq!(
        texts(
            slack
                .call_in("team", "conversations.replies", &[("ts", ts)])
                .await
        ),
        ["parent", "reply"]
    );
    assert_eq!(
        error(
            &slack
                .call_in("team", "conversations.replies", &[("ts", "1.0")])
                .await
        ),
        "thread_not_found"
    );
}

#[tokio::test]
async fn history_is_newest_first_from_oldest_to_latest() {
    let slack = Slack::start().await;
    slack
        .admin
        .change_settings(&Settings {
            limits: Some(false),
            ..Settings::default()
        })
        .await
        .unwrap();
    let mut times = Vec::new();
    for text in ["a", "b", "c"] {
        let posted = slack
            .call_in("team", "chat.postMessage", &[("text", text)])
            .await;
        times.push(posted["ts"].as_str().unwrap().to_owned());
    }
    let texts = async |arguments: &[(&str, &str)]| {
        let answer = slack
            .call_in("team", "conversations.history", arguments)
            .await;
        let texts = answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(&[]).await, ["c", "b", "a"]);
    assert_eq!(texts(&[("oldest", &times[1])]).await, ["c"]);
    assert_eq!(
        texts(&[("oldest", &times[1]), ("inclusive", "true")]).await,
        ["c", "b"]
    );
    assert_eq!(texts(&[("latest", &times[1])]).await, ["a"]);
    let bad = slack
        .call_in("team", "conversations.history", &[("oldest", "yesterday")])
        .await;
    assert_eq!(error(&bad), "invalid_ts_oldest");
}

#[tokio::test]
async fn arguments_are_read_from_a_form_only() {
    let slack = Slack::start().await;
    let url = format!("{}/api/conversations.create", slack.sandbox.url());
    let answer = slack
        .http
        .post(url)
        .bearer_auth(TOKEN)
        .json(&json!({ "name": "x" }))
        .send()
        .await
        .unwrap();
    assert_eq!(
        error(&answer.json().await.unwrap()),
        "invalid_name_required"
    );
}

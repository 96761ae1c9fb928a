//! The calls of the client.

use apgl_slack::{Metadata, Post, SlackClient, SlackError, Span, Update};
use serde_json::{Value, json};

/// A call of the client, and the response that Slack documents for it.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    AuthTest,
    Post,
    Update,
    Create,
    Open,
    List,
    Invite,
    Members,
    History,
    LookUp,
    Users,
    Archive,
}

impl Call {
    pub const ALL: [Self; 12] = [
        Self::AuthTest,
        Self::Post,
        Self::Update,
        Self::Create,
        Self::Open,
        Self::List,
        Self::Invite,
        Self::Members,
        Self::History,
        Self::LookUp,
        Self::Users,
        Self::Archive,
    ];

    pub fn answer(self) -> Value {
        let channel = json!({
            "id": "C1", "name": "x", "is_private": true, "is_archived": false, "created": 1_700_000_000,
        });
        let user = json!({
            "id": "U1", "deleted": false, "is_bot": false, "profile": { "email": "ana@example.com" },
        });
        let more = json!({ "next_cursor": "abc" });
        match self {
            Self::AuthTest => json!({
                "ok": true, "team": "T", "team_id": "T1", "user_id": "U1", "bot_id": "B1",
            }),
            Self::Post => json!({ "ok": true, "channel": "C1", "ts": "1712345678.000200" }),
            Self::Update => json!({ "ok": true, "channel": "C1", "ts": "1.0", "text": "hello" }),
            Self::Create => json!({ "ok": true, "channel": channel }),
            Self::Open => json!({ "ok": true, "channel": { "id": "D1" } }),
            Self::List => json!({ "ok": true, "channels": [channel], "response_metadata": more }),
            Self::Invite => json!({
                "ok": false, "error": "cant_invite",
                "errors": [{ "user": "U1", "ok": false, "error": "cant_invite" }],
            }),
            Self::Members => json!({ "ok": true, "members": ["U1"], "response_metadata": more }),
            Self::History => json!({
                "ok": true, "response_metadata": more,
                "messages": [{
                    "ts": "1.0", "text": "hello", "bot_id": "B1",
                    "metadata": { "event_type": "e", "event_payload": { "delivery": "abc" } },
                }],
            }),
            Self::LookUp => json!({ "ok": true, "user": user }),
            Self::Users => json!({ "ok": true, "members": [user], "response_metadata": more }),
            Self::Archive => json!({ "ok": true }),
        }
    }

    pub async fn make(self, slack: &SlackClient) -> Result<(), SlackError> {
        let metadata = Metadata {
            event_type: "e".to_owned(),
            event_payload: serde_json::Map::new(),
        };
        let post = Post {
            channel: "C1",
            text: "hello",
            blocks: None,
            thread_ts: None,
            unfurl_links: false,
            unfurl_media: false,
            metadata: &metadata,
            not_after: None,
        };
        let update = Update {
            channel: "C1",
            ts: "1.0",
            text: "hello",
            blocks: &[],
        };
        match self {
            Self::AuthTest => slack.auth_test().await.map(drop),
            Self::Post => slack.chat_post_message(post).await.map(drop),
            Self::Update => slack.chat_update(update).await,
            Self::Create => slack.conversations_create("x", true).await.map(drop),
            Self::Open => slack.conversations_open("U1").await.map(drop),
            Self::List => slack.conversations_list(None).await.map(drop),
            Self::Invite => slack
                .conversations_invite("C1", &["U1".to_owned()])
                .await
                .map(drop),
            Self::Members => slack.conversations_members("C1", None).await.map(drop),
            Self::History => slack
                .conversations_history("C1", Span::ALL, None)
                .await
                .map(drop),
            Self::LookUp => {
                let users = slack.users_lookup_by_email(&["ana@example.com"]).await?;
                users.into_iter().try_for_each(|user| user.map(drop))
            }
            Self::Users => slack.users_list(None).await.map(drop),
            Self::Archive => slack.conversations_archive("C1").await,
        }
    }
}

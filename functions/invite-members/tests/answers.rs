//! Answers of Slack that the sandbox does not give.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelRef, Email, ErrorName, SkipReason, Skipped, SlackUser, SlackUserId, Visibility,
    epoch::epoch_millis,
};
use apgl_directory::{Directory, People};
use apgl_slack::{FixedToken, SlackClient, SlackToken};
use apgl_stores::{Channels, SlackUsers};
use fixture::{Fixture, invocation};
use invite_members::{Deps, Input, Outcome, handle};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::path_regex};

/// A channel with more members than are listed. Slack refuses to invite some people, and does not say whom unless the
/// invitation is for one person; for others it fails once.
#[derive(Debug, Clone, Default)]
struct LargeChannel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    members: BTreeSet<String>,
    refused: BTreeSet<String>,
    /// Slack refuses a single invitation of them without a list of errors, with a code that is not documented.
    refused_anew: BTreeSet<String>,
    fails_once: BTreeSet<String>,
    /// How many people each invitation was for.
    invitations: Vec<usize>,
}

impl Respond for LargeChannel {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let answer = if request.url.path().ends_with("conversations.invite") {
            self.0.lock().unwrap().invite(&users_in(&request.body))
        } else {
            json!({ "ok": true, "members": [], "response_metadata": { "next_cursor": "more" } })
        };
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

impl State {
    fn invite(&mut self, users: &[String]) -> Value {
        self.invitations.push(users.len());
        let mut errors = Vec::new();
        for user in users {
            let is_refused_anew = self.refused_anew.contains(user);
            if is_refused_anew && users.len() == 1 {
                return json!({ "ok": false, "error": "a_code_of_tomorrow" });
            }
            if is_refused_anew || self.refused.contains(user) && users.len() > 1 {
                errors.push(json!({ "error": "cant_invite" }));
            } else if self.refused.contains(user) {
                errors.push(json!({ "user": user, "error": "cant_invite" }));
            } else if self.fails_once.remove(user) {
                errors.push(json!({ "user": user, "error": "internal_error" }));
            } else if !self.members.insert(user.clone()) {
                errors.push(json!({ "user": user, "error": "already_in_channel" }));
            }
        }
        json!({ "ok": true, "errors": errors })
    }
}

fn users_in(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8_lossy(body);
    let users = body.split('&').find_map(|part| part.strip_prefix("users="));
    users.unwrap().split("%2C").map(str::to_owned).collect()
}

struct Inviting {
    slack: LargeChannel,
    deps: Deps,
    _server: MockServer,
    _fixture: Fixture,
}

impl Inviting {
    async fn to(state: State) -> Self {
        let slack = LargeChannel(Arc::new(Mutex::new(state)));
        let server = MockServer::start().await;
        Mock::given(path_regex("^/api/conversations"))
            .respond_with(slack.clone())
            .mount(&server)
            .await;
        let token = FixedToken(SlackToken::new("xoxb-1").unwrap());
        let url = format!("{}/api", server.uri()).parse().unwrap();
        let client = SlackClient::new(url, Arc::new(token)).unwrap();
        let fixture = Fixture::new().await;
        let channels = Channels::new(fixture.table("name").await);
        let deps = Deps {
            directory: Directory::new(channels, client.clone(), Duration::from_mins(15)),
            people: People {
                known: SlackUsers::new(fixture.table("email").await),
                slack: client,
                trust: Duration::from_hours(24),
            },
        };
        Self {
            slack,
            deps,
            _server: server,
            _fixture: fixture,
        }
    }

    async fn run(&self, users: &[&str]) -> Result<Outcome, ErrorName> {
        let user = |id: &&str| SlackUser {
            email: email(id),
            id: SlackUserId((*id).to_owned()),
        };
        let input = Input {
            channel: ChannelRef {
                id: "C1".to_owned(),
                name: "all".to_owned(),
                visibility: Visibility::Private,
                requested_visibility: None,
                archived: false,
                created: false,
                ours: Some(true),
                externally_shared: false,
                confirmed_at: Some(epoch_millis(SystemTime::now())),
            },
            users: users.iter().map(user).collect(),
            explicit: false,
        };
        let outcome = handle(&self.deps, &invocation("execution"), input).await;
        outcome.map_err(|error| error.name())
    }
}

fn email(id: &str) -> Email {
    Email::try_from(format!("{id}@example.com")).unwrap()
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_refused_person_whom_slack_does_not_name_is_found_by_single_invitations() {
    let step = Inviting::to(State {
        members: ids(&["UANA"]),
        refused: ids(&["UBOB"]),
        ..State::default()
    })
    .await;
    let expected = Outcome {
        invited: vec![email("UEVE")],
        already_members: vec![email("UANA")],
        skipped: vec![Skipped::new(email("UBOB"), SkipReason::CannotInvite)],
        ..Outcome::default()
    };
    let users = ["UANA", "UBOB", "UEVE"];
    assert_eq!(step.run(&users).await.unwrap(), expected);
    assert_eq!(step.slack.0.lock().unwrap().invitations, [3, 1, 1]);
    // The table does not have the refused person as a member.
    assert_eq!(step.run(&users).await.unwrap(), expected);
    assert_eq!(step.slack.0.lock().unwrap().invitations, [3, 1, 1, 1]);
}

#[tokio::test]
async fn an_undocumented_refusal_of_a_single_invitation_is_about_its_user_unless_all_get_it() {
    let refused_anew = ids(&["UBOB", "UGUS"]);
    let step = Inviting::to(State {
        refused_anew,
        ..State::default()
    })
    .await;
    let outcome = step.run(&["UBOB", "UEVE"]).await.unwrap();
    let skipped = [Skipped::new(email("UBOB"), SkipReason::CannotInvite)];
    assert_eq!(outcome.invited, [email("UEVE")]);
    assert_eq!(outcome.skipped, skipped);
    let error = step.run(&["UBOB", "UGUS"]).await.unwrap_err();
    assert_eq!(error, ErrorName::SlackRejected);
}

#[tokio::test]
async fn members_stay_members_if_slack_fails_for_another_person() {
    let step = Inviting::to(State {
        members: ids(&["UANA"]),
        fails_once: ids(&["UBOB"]),
        ..State::default()
    })
    .await;
    let users = ["UANA", "UBOB", "UEVE"];
    let error = step.run(&users).await.unwrap_err();
    assert_eq!(error, ErrorName::SlackUnavailable);
    let expected = Outcome {
        invited: vec![email("UBOB"), email("UEVE")],
        already_members: vec![email("UANA")],
        ..Outcome::default()
    };
    assert_eq!(step.run(&users).await.unwrap(), expected);
    // Those who have a result are not invited again.
    assert_eq!(step.slack.0.lock().unwrap().invitations, [3, 1]);
}

//! The step against a Slack sandbox and tables. The protocol's model, in `lib/delivery/tests/cards`, runs it through every
//! order of events.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apgl_contract::{ChannelName, ChannelRef, ErrorName, Item, StepError, Visibility};
use apgl_slack::{
    FixedToken, LimitedBy, RateLimiter, SlackClient, SlackToken,
    quotas::{AcquireFuture, Calls, Limited, PenalizeFuture, Permit, Wait},
};
use apgl_stores::{CardClaim, Deliveries, Items, SETTLE_TIME, Table};
use aws_sdk_dynamodb::types::AttributeValue;
use fixture::{Fixture, invocation};
use rstest::rstest;
use serde_json::{Value, from_value, json};
use slack_sandbox::{
    Admin, Options, Sandbox, Seed,
    faults::{Effect, How},
    seed::{ChannelSeed, TokenSeed},
    workspace::Message,
};
use update_card::{Deps, Input, handle};

const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";
const PIN: &str = "pins.add";
const ITEM_ID: &str = "content-item:guide-42";
const CHANNEL: &str = "guide-42";
const TOKEN: &str = "xoxb-sandbox";

/// The step in a workspace with the item's own channel.
struct Updating {
    fixture: Fixture,
    deps: Deps,
    items_table: String,
    channel: ChannelRef,
}

impl Updating {
    async fn new() -> Self {
        Self::in_channel(own_channel()).await
    }

    async fn in_channel(seed: ChannelSeed) -> Self {
        Self::with(Fixture::new().await, seed).await
    }

    async fn with(fixture: Fixture, seed: ChannelSeed) -> Self {
        let name = CHANNEL.to_owned();
        let channel = fixture.channel(ChannelSeed { name, ..seed }).await;
        let items = fixture.create_table(&["itemId", "row"]).await;
        let deps = Deps {
            directory: fixture.directory_with(&channel).await,
            deliveries: Deliveries::new(fixture.table("deliveryId").await),
            items: Items::new(Table::new(fixture.dynamodb.clone(), items.clone())),
        };
        Self {
            fixture,
            deps,
            items_table: items,
            channel,
        }
    }

    /// The item's next version is recorded.
    async fn moves_to(&self, version: u64, state: &str) {
        self.records(item(version, state)).await;
    }

    async fn records(&self, item: Item) {
        let recorded = self.deps.items.record(&item, "e", SystemTime::now()).await;
        assert!(!recorded.unwrap().superseded);
    }

    /// The row has expired, or somebody has deleted it.
    async fn item_is_deleted(&self) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let deletion = self.fixture.dynamodb.delete_item();
        let deletion = deletion.table_name(&self.items_table);
        let deletion = deletion.key("itemId", text(ITEM_ID));
        deletion.key("row", text("item")).send().await.unwrap();
    }

    async fn run(&self) -> Result<Value, StepError> {
        let input = Input {
            channel: self.channel.clone(),
            channel_name: ChannelName::try_from(CHANNEL.to_owned()).unwrap(),
            item_id: ITEM_ID.to_owned().try_into().unwrap(),
        };
        let outcome = handle(&self.deps, &invocation("e"), input).await?;
        Ok(json!(outcome.card))
    }

    /// The version is recorded and shown. Returns the outcome.
    async fn shows(&self, version: u64, state: &str) -> Value {
        self.moves_to(version, state).await;
        self.run().await.unwrap()
    }

    /// The next call of this method is refused with this code.
    async fn is_refused(&self, method: &str, code: &str) {
        let refused = How::Error {
            error: code.to_owned(),
            effect: Effect::None,
        };
        self.fixture.fail(method, refused, 1).await;
    }

    /// People rename the channel and create another one with its name. Perhaps they remove the bot from the old one.
    async fn channel_is_replaced(&mut self, out_of_sight: bool) {
        let (sandbox, name) = (&self.fixture.sandbox, CHANNEL.to_owned());
        sandbox.rename_channel(CHANNEL, "old-guide").await.unwrap();
        if out_of_sight {
            sandbox.remove_bot("old-guide").await.unwrap();
        }
        let channel = ChannelSeed {
            name,
            ..own_channel()
        };
        self.channel = self.fixture.channel(channel).await;
        self.deps.directory = self.fixture.directory_with(&self.channel).await;
    }

    async fn messages(&self) -> Vec<Message> {
        self.fixture.in_slack(CHANNEL).await.unwrap().messages
    }

    async fn headlines(&self) -> Vec<String> {
        let messages = self.messages().await;
        let headline = |message: &Message| {
            let headline = message.blocks.as_ref()?[0]["text"]["text"].as_str();
            headline.map(str::to_owned)
        };
        messages.iter().filter_map(headline).collect()
    }

    /// An earlier attempt claimed the card and never ended.
    async fn was_interrupted(&self) {
        let (now, ago) = (SystemTime::now(), SETTLE_TIME + Duration::from_secs(1));
        let cards = self.deps.items.cards();
        let claim = cards.claim(ITEM_ID, "earlier", now - ago, now);
        assert!(matches!(claim.await.unwrap(), CardClaim::Mine(_)));
    }
}

fn own_channel() -> ChannelSeed {
    ChannelSeed {
        is_private: true,
        created_by_bot: true,
        ..ChannelSeed::default()
    }
}

fn item(version: u64, state: &str) -> Item {
    let item = json!({
        "id": ITEM_ID, "version": version, "channelName": CHANNEL, "visibility": "private",
        "ownChannel": true, "title": "Rust on Lambda", "state": state,
        "waitingFor": ["bob@example.com"], "dueDate": "2026-12-01",
    });
    from_value(item).unwrap()
}

#[tokio::test]
async fn a_card_is_posted_once_and_then_updated_in_place() {
    let updating = Updating::new().await;
    let posted = updating.shows(1, "submitted").await;
    assert_eq!(posted["change"], "posted");
    assert_eq!(posted["version"], 1);
    for (version, state, headline) in [(2, "in_review", "In review"), (5, "approved", "Approved")] {
        let updated = updating.shows(version, state).await;
        assert_eq!(updated["change"], "updated");
        assert_eq!(updated["ts"], posted["ts"]);
        assert_eq!(updating.headlines().await, [headline]);
    }
    let messages = updating.messages().await;
    assert!(messages[0].edited.is_some() && messages[0].metadata.is_some());
    assert!(!messages[0].text.contains("<@"), "{}", messages[0].text);
}

#[tokio::test]
async fn a_card_that_shows_the_version_costs_no_call() {
    let updating = Updating::new().await;
    let posted = updating.shows(1, "submitted").await;
    let calls = updating.fixture.sandbox.calls().await.unwrap().len();
    let again = updating.run().await.unwrap();
    assert_eq!(
        (again["change"].as_str(), &again["ts"]),
        (Some("unchanged"), &posted["ts"])
    );
    assert_eq!(updating.fixture.sandbox.calls().await.unwrap().len(), calls);
}

#[tokio::test]
async fn the_card_is_pinned_once_in_the_items_own_channel() {
    let updating = Updating::new().await;
    assert_eq!(updating.shows(1, "submitted").await["pinned"], true);
    assert!(updating.messages().await[0].pinned.is_some());
    let updated = updating.shows(2, "in_review").await;
    assert_eq!(updated["pinned"], Value::Null);
    assert_eq!(updating.fixture.calls(PIN).await, 1);
}

#[tokio::test]
async fn a_card_in_another_channel_is_not_pinned() {
    let updating = Updating::in_channel(ChannelSeed::default()).await;
    let mut item = item(1, "posted");
    item.own_channel = false;
    item.visibility = Visibility::Public;
    updating.records(item).await;
    let posted = updating.run().await.unwrap();
    assert_eq!(
        (posted["change"].as_str(), posted.get("pinned")),
        (Some("posted"), None)
    );
    assert_eq!(updating.fixture.calls(PIN).await, 0);
}

#[rstest]
#[case("too_many_pins")]
#[case("restricted_action")]
#[case("a_code_of_tomorrow")]
#[tokio::test]
async fn a_refused_pin_is_an_outcome(#[case] code: &str) {
    let updating = Updating::new().await;
    updating.is_refused(PIN, code).await;
    let posted = updating.shows(1, "submitted").await;
    assert_eq!(
        (&posted["pinned"], &posted["notPinned"]),
        (&json!(false), &json!(code))
    );
    updating.shows(2, "in_review").await;
    assert_eq!(updating.fixture.calls(PIN).await, 1);
}

#[tokio::test]
async fn a_message_that_somebody_has_pinned_counts_as_pinned() {
    let updating = Updating::new().await;
    updating.is_refused(PIN, "already_pinned").await;
    assert_eq!(updating.shows(1, "submitted").await["pinned"], true);
}

#[rstest]
#[case::the_scope("missing_scope")]
#[case::a_permission("no_permission")]
#[case::the_token("token_revoked")]
#[case::an_archived_channel("is_archived")]
#[case::a_channel_without_the_bot("not_in_channel")]
#[case::no_channel("channel_not_found")]
#[case::our_own_mistake("invalid_arguments")]
#[tokio::test]
async fn after_a_refusal_that_somebody_can_fix_the_card_is_pinned_later(#[case] code: &str) {
    let updating = Updating::new().await;
    updating.is_refused(PIN, code).await;
    let posted = updating.shows(1, "submitted").await;
    assert_eq!(
        (&posted["pinned"], &posted["notPinned"]),
        (&json!(false), &json!(code))
    );
    assert_eq!(updating.shows(2, "in_review").await["pinned"], true);
}

/// The queue for one method is too long.
#[derive(Debug)]
struct TooLong(&'static str);

impl RateLimiter for TooLong {
    fn acquire<'a>(&'a self, calls: Calls<'a>) -> AcquireFuture<'a> {
        let is_too_long = calls.quotas.iter().any(|quota| quota.name == self.0);
        let wait = Duration::from_hours(20);
        Box::pin(async move {
            if is_too_long {
                Err(Limited::QueueTooLong { wait })
            } else {
                Ok(Permit::default())
            }
        })
    }

    fn penalize<'a>(
        &'a self,
        _calls: Calls<'a>,
        _permit: &'a Permit,
        retry_after: Duration,
    ) -> PenalizeFuture<'a> {
        Box::pin(async move {
            Wait {
                retry_after,
                is_certain: false,
            }
        })
    }
}

#[tokio::test]
async fn a_long_queue_for_pins_leaves_the_pin_for_the_next_update() {
    let mut updating = Updating::new().await;
    let unlimited = updating.deps.directory.clone();
    let limiter: Arc<dyn RateLimiter> = Arc::new(TooLong(PIN));
    updating.deps.directory = unlimited.limited_by(&limiter);
    let posted = updating.shows(1, "submitted").await;
    assert_eq!(
        (&posted["pinned"], posted.get("notPinned")),
        (&json!(false), None)
    );
    updating.deps.directory = unlimited;
    assert_eq!(updating.shows(2, "in_review").await["pinned"], true);
}

#[tokio::test]
async fn a_rate_limit_for_pins_is_waited_for() {
    let updating = Updating::new().await;
    let limited = How::RateLimited { retry_after: 7 };
    updating.fixture.fail(PIN, limited, 1).await;
    updating.moves_to(1, "submitted").await;
    let error = updating.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    let unchanged = updating.run().await.unwrap();
    assert_eq!(
        (&unchanged["change"], &unchanged["pinned"]),
        (&json!("unchanged"), &json!(true))
    );
}

#[tokio::test]
async fn a_pin_that_people_take_away_stays_away() {
    // A sandbox of this test's own, since the fixture has no way to take a pin away.
    let seed = Seed {
        tokens: vec![TokenSeed::new(TOKEN)],
        ..Seed::default()
    };
    let options = Options {
        seed,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let api = format!("{}/api", sandbox.url());
    let token = Arc::new(FixedToken(SlackToken::new(TOKEN).unwrap()));
    let mut fixture = Fixture::new().await;
    fixture.sandbox = Admin::new(sandbox.url());
    fixture.slack = SlackClient::new(api.parse().unwrap(), token).unwrap();
    let updating = Updating::with(fixture, own_channel()).await;
    let posted = updating.shows(1, "submitted").await;
    assert!(updating.messages().await[0].pinned.is_some());

    let ts = posted["ts"].as_str().unwrap();
    let pin = [("channel", updating.channel.id.as_str()), ("timestamp", ts)];
    let removal = reqwest::Client::new().post(format!("{api}/pins.remove"));
    let removal = removal.bearer_auth(TOKEN).form(&pin);
    removal.send().await.unwrap();
    assert!(updating.messages().await[0].pinned.is_none());

    updating.shows(2, "in_review").await;
    updating.run().await.unwrap();
    assert!(updating.messages().await[0].pinned.is_none());
}

#[rstest]
#[case::people_deleted_it("message_not_found")]
#[case::slack_does_not_let_the_bot("cant_update_message")]
#[case::it_is_too_old("edit_window_closed")]
#[tokio::test]
async fn a_card_that_can_not_be_updated_is_posted_anew(#[case] code: &str) {
    let updating = Updating::new().await;
    let first = updating.shows(1, "submitted").await;
    updating.is_refused(UPDATE, code).await;
    let second = updating.shows(2, "in_review").await;
    assert_eq!(second["change"], "posted");
    assert_ne!(second["ts"], first["ts"]);
    assert_eq!(updating.shows(3, "approved").await["ts"], second["ts"]);
    assert_eq!(updating.headlines().await, ["Submitted", "Approved"]);
}

#[tokio::test]
async fn a_deleted_card_is_posted_anew() {
    let updating = Updating::new().await;
    let first = updating.shows(1, "submitted").await;
    let ts = first["ts"].as_str().unwrap();
    updating
        .fixture
        .sandbox
        .delete_message(CHANNEL, ts)
        .await
        .unwrap();
    updating.shows(2, "in_review").await;
    assert_eq!(updating.headlines().await, ["In review"]);
}

#[tokio::test]
async fn after_an_unknown_outcome_the_card_is_updated_again() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    let effect = Effect::Done;
    updating
        .fixture
        .fail(UPDATE, How::Reset { effect }, 1)
        .await;
    updating.moves_to(2, "in_review").await;
    let before = SystemTime::now();
    let unknown = updating.run().await.unwrap_err();
    assert_eq!(unknown.name(), ErrorName::SlackOutcomeUnknown);
    assert_eq!(unknown.retry_after(), Some(SETTLE_TIME));
    // Before the settle time is over, however slow this machine is.
    let early = before + SETTLE_TIME - Duration::from_secs(1);
    let cards = updating.deps.items.cards();
    let claim = cards.claim(ITEM_ID, "early", early, early).await.unwrap();
    assert!(matches!(claim, CardClaim::Held(_)), "{claim:?}");
    tokio::time::sleep(SETTLE_TIME).await;
    assert_eq!(updating.run().await.unwrap()["change"], "updated");
    assert_eq!(updating.fixture.calls(UPDATE).await, 2);
}

#[tokio::test]
async fn an_interrupted_attempt_leaves_a_card_that_is_updated_again() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    updating.was_interrupted().await;
    assert_eq!(updating.run().await.unwrap()["change"], "updated");
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_is_found_and_updated() {
    let updating = Updating::new().await;
    let effect = Effect::Done;
    updating.fixture.fail(POST, How::Reset { effect }, 1).await;
    updating.moves_to(1, "submitted").await;
    let unknown = updating.run().await.unwrap_err();
    assert_eq!(unknown.name(), ErrorName::SlackOutcomeUnknown);
    updating.moves_to(2, "in_review").await;
    tokio::time::sleep(SETTLE_TIME).await;
    updating.run().await.unwrap();
    assert_eq!(updating.headlines().await, ["In review"]);
}

/// In both cases the post may have arrived in the earlier channel.
#[rstest]
#[case::the_bot_can_look_there(false)]
#[case::the_bot_can_not_look_there(true)]
#[tokio::test]
async fn a_post_in_doubt_in_an_earlier_channel_does_not_keep_the_card_from_the_new_one(
    #[case] out_of_sight: bool,
) {
    let mut updating = Updating::new().await;
    let effect = Effect::Done;
    updating.fixture.fail(POST, How::Reset { effect }, 1).await;
    updating.moves_to(1, "submitted").await;
    let unknown = updating.run().await.unwrap_err();
    assert_eq!(unknown.name(), ErrorName::SlackOutcomeUnknown);
    updating.channel_is_replaced(out_of_sight).await;
    tokio::time::sleep(SETTLE_TIME).await;
    let posted = updating.run().await.unwrap();
    assert_eq!(posted["change"], "posted");
    assert_eq!(updating.headlines().await, ["Submitted"]);
    updating.shows(2, "in_review").await;
    assert_eq!(updating.headlines().await, ["In review"]);
}

#[tokio::test]
async fn a_refused_update_leaves_what_is_known() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    let limited = How::RateLimited { retry_after: 7 };
    updating.fixture.fail(UPDATE, limited, 1).await;
    updating.moves_to(2, "in_review").await;
    let error = updating.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    assert_eq!(updating.run().await.unwrap()["change"], "updated");
}

#[tokio::test]
async fn an_item_that_has_moved_to_another_channel_leaves_this_one_alone() {
    let updating = Updating::new().await;
    let mut item = item(1, "submitted");
    item.channel_name = ChannelName::try_from("elsewhere".to_owned()).unwrap();
    updating.records(item).await;
    assert_eq!(updating.run().await.unwrap(), Value::Null);
    assert_eq!(updating.fixture.calls(POST).await, 0);
}

#[tokio::test]
async fn an_item_that_is_no_longer_known_leaves_its_card_alone() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    updating.item_is_deleted().await;
    assert_eq!(updating.run().await.unwrap(), Value::Null);
    assert_eq!(updating.headlines().await, ["Submitted"]);
}

#[tokio::test]
async fn a_version_that_is_private_is_not_shown_in_the_public_channel_of_an_earlier_one() {
    let updating = Updating::in_channel(ChannelSeed::default()).await;
    let mut public = item(1, "posted");
    public.own_channel = false;
    public.visibility = Visibility::Public;
    updating.records(public).await;
    updating.run().await.unwrap();
    updating.moves_to(2, "in_review").await;
    assert_eq!(updating.run().await.unwrap(), Value::Null);
    assert_eq!(updating.headlines().await, ["Posted"]);
    assert_eq!(updating.fixture.calls(UPDATE).await, 0);
}

#[tokio::test]
async fn a_private_card_does_not_go_to_a_channel_that_people_have_made_public() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    updating
        .fixture
        .sandbox
        .convert_to_public(CHANNEL)
        .await
        .unwrap();
    updating.moves_to(2, "in_review").await;
    let old = ChannelRef {
        confirmed_at: Some(0),
        ..updating.channel.clone()
    };
    let input = Input {
        channel: old,
        channel_name: ChannelName::try_from(CHANNEL.to_owned()).unwrap(),
        item_id: ITEM_ID.to_owned().try_into().unwrap(),
    };
    // The table has forgotten that Slack confirmed the channel.
    let deps = Deps {
        directory: updating.fixture.directory_that_trusts(Duration::ZERO).await,
        ..updating.deps
    };
    let error = handle(&deps, &invocation("e"), input).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert!(error.to_string().contains("made public"), "{error}");
    let channel = updating.fixture.in_slack(CHANNEL).await.unwrap();
    assert_eq!(
        channel.messages[0].blocks.as_ref().unwrap()[0]["text"]["text"],
        "Submitted"
    );
}

#[tokio::test]
async fn an_archived_channel_is_looked_up_again() {
    let updating = Updating::new().await;
    updating.shows(1, "submitted").await;
    updating
        .fixture
        .sandbox
        .archive_channel(CHANNEL)
        .await
        .unwrap();
    updating.moves_to(2, "in_review").await;
    let error = updating.run().await.unwrap_err();
    let names = [ErrorName::ChannelArchived, ErrorName::ChannelNotFound];
    assert!(names.contains(&error.name()), "{error}");
}

#[tokio::test]
async fn many_attempts_at_once_post_one_card() {
    let updating = Updating::new().await;
    updating.moves_to(1, "submitted").await;
    let runs = futures_util::future::join_all((0..8).map(|_| updating.run())).await;
    let done = runs.iter().filter(|run| run.is_ok()).count();
    assert!(done >= 1);
    for error in runs.into_iter().filter_map(Result::err) {
        assert_eq!(error.name(), ErrorName::DeliveryInProgress);
    }
    assert_eq!(updating.headlines().await, ["Submitted"]);
}

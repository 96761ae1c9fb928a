//! The step against a Slack sandbox and tables. `model` runs the protocol through every order of events.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use apgl_contract::{
    ChannelName, ChannelRef, DirectMessage, Email, ErrorName, Invocation, Message, Notice,
    StepError,
    outcome::{MessageOutcome, NotPosted, PostedMessage},
};
use apgl_slack::{Metadata, Post};
use apgl_stores::{Claim, Deliveries, Delivery, Entry, Place, SETTLE_TIME};
use fixture::{Fixture, invocation, redriven};
use futures_util::future::join_all;
use post_message::{Deps, Input};
use rstest::rstest;
use serde_json::json;
use slack_sandbox::{
    faults::{Effect, How},
    seed::ChannelSeed,
};

const POST: &str = "chat.postMessage";
const EXECUTION: &str = "execution";

/// Runs the step, which posts the message or finds it.
async fn handle(
    deps: &Deps,
    invocation: &Invocation,
    input: Input,
) -> Result<PostedMessage, StepError> {
    let outcome = post_message::handle(deps, invocation, input).await?;
    Ok(outcome.posted().unwrap().clone())
}

fn to_channel(channel: &ChannelRef, message: Message) -> Input {
    Input {
        channel: Some(channel.clone()),
        conversation: None,
        message,
        notice: Notice::default(),
        users: Vec::new(),
        skipped: Vec::new(),
        purpose: None,
    }
}

/// An attempt of this execution that began at `now` and ends at `deadline`.
fn attempt(id: &str, place: &Place, deadline: SystemTime) -> Delivery {
    Delivery {
        id: EXECUTION.to_owned(),
        attempt_id: id.to_owned(),
        place: place.clone(),
        execution_started_at: None,
        expires_at: None,
        in_sequence: None,
        deadline,
    }
}

/// The step in a workspace with the channel `guide`.
struct Posting {
    fixture: Fixture,
    deps: Deps,
    channel: ChannelRef,
}

impl Posting {
    async fn to(channel: ChannelSeed) -> Self {
        let fixture = Fixture::new().await;
        let seed = ChannelSeed {
            name: "guide".to_owned(),
            ..channel
        };
        let channel = fixture.channel(seed).await;
        let deps = Deps {
            directory: fixture.directory_with(&channel).await,
            deliveries: Deliveries::new(fixture.table("deliveryId").await),
        };
        Self {
            fixture,
            deps,
            channel,
        }
    }

    async fn to_a_private_channel() -> Self {
        Self::to(ChannelSeed {
            is_private: true,
            ..ChannelSeed::default()
        })
        .await
    }

    async fn run(&self) -> Result<PostedMessage, StepError> {
        self.post(None).await
    }

    async fn post(&self, thread_ts: Option<&str>) -> Result<PostedMessage, StepError> {
        handle(&self.deps, &invocation(EXECUTION), self.input(thread_ts)).await
    }

    /// In an invocation that has time for one page of messages.
    async fn post_in_twelve_seconds(
        &self,
        thread_ts: Option<&str>,
    ) -> Result<PostedMessage, StepError> {
        let mut short = invocation(EXECUTION);
        short.deadline = SystemTime::now() + Duration::from_secs(12);
        handle(&self.deps, &short, self.input(thread_ts)).await
    }

    fn input(&self, thread_ts: Option<&str>) -> Input {
        let mut message = json!({ "text": "hello" });
        if let Some(thread_ts) = thread_ts {
            message["threadTs"] = json!(thread_ts);
        }
        to_channel(&self.channel, serde_json::from_value(message).unwrap())
    }

    /// Replaces the table by one in which an attempt began 40 seconds ago and never ended.
    async fn forget_outcome(&mut self) {
        self.forget_outcome_of(SystemTime::now(), None).await;
    }

    /// The same for an attempt that posted in this thread.
    async fn forget_outcome_in(&mut self, thread: Option<&str>) {
        self.forget_outcome_of(SystemTime::now(), thread).await;
    }

    /// The same at this time.
    async fn forget_outcome_of(&mut self, now: SystemTime, thread: Option<&str>) {
        let deliveries = Deliveries::new(self.fixture.table("deliveryId").await);
        let (began, deadline) = (
            now - Duration::from_secs(40),
            now - SETTLE_TIME - Duration::from_secs(10),
        );
        let place = Place {
            channel: self.channel.id.clone(),
            thread: thread.map(str::to_owned),
        };
        let earlier = attempt("earlier", &place, deadline);
        let claim = deliveries.claim(&earlier, began).await.unwrap();
        assert!(matches!(claim, Claim::Mine(_)));
        self.deps.deliveries = deliveries;
    }

    /// The arguments of the last post.
    async fn sent(&self) -> BTreeMap<String, String> {
        let calls = self.fixture.sandbox.calls().await.unwrap();
        let mut posts = calls.into_iter().filter(|call| call.method == POST);
        posts.next_back().unwrap().arguments
    }

    /// Others post more messages than one page of history has.
    async fn others_post(&self, thread_ts: Option<&str>) {
        let metadata = Metadata {
            event_type: "of_others".to_owned(),
            event_payload: serde_json::Map::new(),
        };
        for _ in 0..1_050 {
            let post = Post {
                channel: &self.channel.id,
                text: "news",
                blocks: None,
                thread_ts,
                unfurl_links: false,
                unfurl_media: false,
                metadata: &metadata,
                not_after: None,
            };
            self.fixture.slack.chat_post_message(post).await.unwrap();
        }
    }

    /// The timestamps of the channel's messages.
    async fn messages(&self) -> Vec<String> {
        let channel = self.fixture.in_slack("guide").await.unwrap();
        channel
            .messages
            .into_iter()
            .map(|message| message.ts)
            .collect()
    }
}

#[tokio::test]
async fn a_message_is_posted_once_however_often_the_step_runs() {
    let step = Posting::to_a_private_channel().await;
    let posted = step.run().await.unwrap();
    assert!(!posted.duplicate);
    assert_eq!(step.messages().await, [posted.ts.as_str()]);
    let again = step.run().await.unwrap();
    assert_eq!((again.ts, again.duplicate), (posted.ts, true));
    assert_eq!(again.channel_id, None);
    assert_eq!(step.fixture.calls(POST).await, 1);
}

#[tokio::test]
async fn an_execution_that_uses_a_name_again_posts_its_own_message() {
    let step = Posting::to_a_private_channel().await;
    let post = async |execution_started_at, redrive_count| {
        let mut invocation = invocation(EXECUTION);
        invocation.run.execution_started_at = Some(execution_started_at);
        invocation.run.redrive_count = redrive_count;
        let posted = handle(&step.deps, &invocation, step.input(None)).await;
        posted.unwrap()
    };
    let first = post(1_000, 0).await;
    assert!(post(1_000, 0).await.duplicate);
    // After 90 days Step Functions accepts the name again.
    let second = post(2_000, 0).await;
    assert!(!second.duplicate);
    let redriven = post(2_000, 1).await;
    assert_eq!((redriven.ts, redriven.duplicate), (second.ts.clone(), true));
    // The next one failed before it posted, and is redriven.
    let third = post(3_000, 1).await;
    assert!(!third.duplicate);
    assert_eq!(
        step.messages().await,
        [first.ts.as_str(), second.ts.as_str(), third.ts.as_str()]
    );
}

#[tokio::test]
async fn two_copies_of_an_invocation_post_once() {
    let step = Posting::to_a_private_channel().await;
    let copies = join_all([Box::pin(step.run()), Box::pin(step.run())]).await;
    let mut posted = 0;
    for copy in copies {
        match copy {
            Ok(message) => posted += usize::from(!message.duplicate),
            Err(error) => assert_eq!(error.name(), ErrorName::DeliveryInProgress),
        }
    }
    assert_eq!(posted, 1);
    assert_eq!(step.messages().await.len(), 1);
}

#[rstest]
#[case::error(How::Error { error: "internal_error".to_owned(), effect: Effect::Done })]
#[case::html(How::Html500 { effect: Effect::Done })]
#[case::connection(How::Reset { effect: Effect::Done })]
#[case::nothing_was_posted(How::Html500 { effect: Effect::None })]
#[tokio::test]
async fn after_an_unknown_outcome_no_attempt_posts_until_the_settle_time_ends(#[case] how: How) {
    let step = Posting::to_a_private_channel().await;
    step.fixture.fail(POST, how, 1).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackOutcomeUnknown);
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::DeliveryInProgress);
    assert_eq!(step.fixture.calls(POST).await, 1);
}

#[rstest]
#[case::in_the_channel(false, "conversations.history", 1)]
// Each attempt asks for the thread.
#[case::in_a_thread(true, "conversations.replies", 3)]
#[tokio::test]
async fn a_message_that_an_earlier_attempt_posted_is_found(
    #[case] is_reply: bool,
    #[case] method: &str,
    #[case] calls: usize,
) {
    let mut step = Posting::to_a_private_channel().await;
    let parent = handle(&step.deps, &invocation("other"), step.input(None)).await;
    let parent = parent.unwrap().ts;
    let thread = is_reply.then_some(parent.as_str());
    let posted = step.post(thread).await.unwrap().ts;
    step.forget_outcome_in(thread).await;
    let found = step.post(thread).await.unwrap();
    assert_eq!((found.ts, found.duplicate), (posted, true));
    assert_eq!(step.messages().await.len(), 2);
    assert_eq!(step.fixture.calls(method).await, calls);
}

#[tokio::test]
async fn a_thread_can_be_named_by_any_of_its_messages() {
    let mut step = Posting::to_a_private_channel().await;
    let other = |execution: &str, thread: Option<&str>| {
        let input = step.input(thread);
        let invocation = invocation(execution);
        let deps = &step.deps;
        async move { handle(deps, &invocation, input).await.unwrap().ts }
    };
    let parent = other("other", None).await;
    let reply = other("another", Some(parent.as_str())).await;

    let posted = step.post(Some(reply.as_str())).await.unwrap().ts;
    let sent = step.sent().await;
    assert_eq!(sent["thread_ts"], parent.as_str());
    // Somebody deletes the named message before the next attempt.
    step.forget_outcome_in(Some(parent.as_str())).await;
    let sandbox = &step.fixture.sandbox;
    let deleted = sandbox.delete_message("guide", reply.as_str());
    deleted.await.unwrap();
    let found = step.post(Some(reply.as_str())).await.unwrap();
    assert_eq!((found.ts, found.duplicate), (posted, true));
    assert_eq!(step.messages().await.len(), 2);
}

#[tokio::test]
async fn a_reply_is_looked_for_in_its_thread_though_the_attempt_that_posted_it_could_not_read_the_thread()
 {
    let mut step = Posting::to_a_private_channel().await;
    let parent = handle(&step.deps, &invocation("other"), step.input(None)).await;
    let parent = parent.unwrap().ts;
    let reply = handle(
        &step.deps,
        &invocation("another"),
        step.input(Some(parent.as_str())),
    )
    .await;
    let reply = reply.unwrap().ts;
    let posted = step.post(Some(reply.as_str())).await.unwrap().ts;
    step.forget_outcome_in(Some(reply.as_str())).await;
    let found = step.post(Some(reply.as_str())).await.unwrap();
    assert_eq!((found.ts, found.duplicate), (posted, true));
}

#[rstest]
#[case::deleted("thread_not_found")]
#[case::unreadable("not_allowed_token_type")]
#[tokio::test]
async fn a_thread_that_cannot_be_read_is_left_to_slack(#[case] error: &str) {
    let mut step = Posting::to_a_private_channel().await;
    let how = How::Error {
        error: error.to_owned(),
        effect: Effect::None,
    };
    step.fixture.fail("conversations.replies", how, 1).await;
    step.post(Some("1712345678.000200")).await.unwrap();
    let sent = step.sent().await;
    assert_eq!(sent["thread_ts"], "1712345678.000200");

    // After an unknown outcome, a thread that is gone holds no message that could be posted twice.
    let thread = Some("1712345678.000300");
    step.forget_outcome_in(thread).await;
    let again = step.post(thread).await.unwrap();
    assert!(!again.duplicate);
    assert_eq!(step.fixture.calls("conversations.history").await, 1);
}

#[tokio::test]
async fn a_long_text_is_one_message() {
    let step = Posting::to_a_private_channel().await;
    let text = format!("{}\n\n{}", "a ".repeat(2_500), "b ".repeat(2_500));
    let message = serde_json::from_value(json!({ "text": text })).unwrap();
    let input = to_channel(&step.channel, message);
    let posted = handle(&step.deps, &invocation(EXECUTION), input).await;
    assert_eq!(step.messages().await, [posted.unwrap().ts.as_str()]);
    let sent = step.sent().await;
    let blocks: Vec<serde_json::Value> = serde_json::from_str(&sent["blocks"]).unwrap();
    assert_eq!(blocks.len(), 4);
    assert_eq!(
        (&*sent["unfurl_links"], &*sent["unfurl_media"]),
        ("false", "false")
    );
}

#[tokio::test]
async fn what_others_posted_after_the_doubt_ended_is_not_read() {
    let mut step = Posting::to_a_private_channel().await;
    step.others_post(None).await;
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    step.forget_outcome_of(two_days_ago, None).await;
    let posted = step.run().await.unwrap();
    assert!(!posted.duplicate);
    assert_eq!(step.fixture.calls("conversations.history").await, 1);
}

#[rstest]
#[case::in_the_channel(false, "conversations.history")]
#[case::in_a_thread(true, "conversations.replies")]
#[tokio::test]
async fn a_search_that_runs_out_of_time_goes_on_in_the_next_invocation(
    #[case] is_reply: bool,
    #[case] method: &str,
) {
    let mut step = Posting::to_a_private_channel().await;
    let parent = handle(&step.deps, &invocation("other"), step.input(None)).await;
    let parent = parent.unwrap().ts;
    let thread = is_reply.then_some(parent.as_str());
    // A channel's messages are listed newest first, a thread's oldest first: the message is on the second page.
    let posted = if is_reply {
        step.others_post(thread).await;
        step.post(thread).await.unwrap().ts
    } else {
        let posted = step.post(thread).await.unwrap().ts;
        step.others_post(thread).await;
        posted
    };
    step.forget_outcome_in(thread).await;
    step.fixture.sandbox.clear_calls().await.unwrap();
    // An attempt asks for the thread first.
    let pages = |calls: usize, attempts: usize| calls - if is_reply { attempts } else { 0 };
    let error = step.post_in_twelve_seconds(thread).await;
    let error = error.unwrap_err();
    // Definitions of every release wait for this error.
    assert_eq!(error.name(), ErrorName::SlackOutcomeUnknown);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(pages(step.fixture.calls(method).await, 1), 1);
    let found = step.post(thread).await.unwrap();
    assert_eq!((found.ts, found.duplicate), (posted, true));
    // One more page, and not the first again.
    assert_eq!(pages(step.fixture.calls(method).await, 2), 2);
}

#[tokio::test]
async fn a_message_that_no_earlier_attempt_posted_is_posted() {
    let mut step = Posting::to_a_private_channel().await;
    step.forget_outcome().await;
    let posted = step.run().await.unwrap();
    assert!(!posted.duplicate);
    assert_eq!(step.fixture.calls("conversations.history").await, 1);
    assert_eq!(step.messages().await, [posted.ts.as_str()]);
}

#[tokio::test]
async fn a_message_is_not_posted_if_the_search_for_it_fails() {
    let mut step = Posting::to_a_private_channel().await;
    step.forget_outcome().await;
    let limited = How::RateLimited { retry_after: 1 };
    step.fixture.fail("conversations.history", limited, 1).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    assert_eq!(step.fixture.calls(POST).await, 0);
    assert!(!step.run().await.unwrap().duplicate);
}

#[tokio::test]
async fn the_next_attempt_makes_a_rate_limited_post() {
    let step = Posting::to_a_private_channel().await;
    let limited = How::RateLimited { retry_after: 7 };
    step.fixture.fail(POST, limited, 1).await;
    let error = step.run().await.unwrap_err();
    let StepError::SlackRateLimited { retry_after, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(retry_after, Duration::from_secs(7));
    assert!(!step.run().await.unwrap().duplicate);
    assert_eq!(step.messages().await.len(), 1);
}

#[rstest]
#[case("msg_too_long", ErrorName::SlackMessageRejected, true)]
#[case("invalid_blocks", ErrorName::SlackMessageRejected, true)]
#[case("restricted_action", ErrorName::SlackRejected, true)]
#[case("a_code_of_tomorrow", ErrorName::SlackRejected, true)]
#[case("invalid_auth", ErrorName::SlackUnauthorized, true)]
#[case("channel_not_found", ErrorName::ChannelNotFound, false)]
#[case("is_archived", ErrorName::ChannelArchived, false)]
#[tokio::test]
async fn a_refused_post_counts_as_not_posted_and_corrects_the_table(
    #[case] code: &str,
    #[case] expected: ErrorName,
    #[case] is_table_right: bool,
) {
    let step = Posting::to_a_private_channel().await;
    step.fixture.fail(POST, How::refused(code), 2).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), expected);
    let name = ChannelName::try_from("guide".to_owned()).unwrap();
    let known = step.deps.directory.channels.look_up(&name).await.unwrap();
    let is_active = matches!(known.entry, Entry::Seen(channel) if !channel.archived);
    assert_eq!(is_active, is_table_right);
    // Somebody has fixed it.
    step.fixture.sandbox.clear_faults().await.unwrap();
    assert!(!step.run().await.unwrap().duplicate);
}

#[tokio::test]
async fn the_bot_joins_a_public_channel_to_post() {
    let step = Posting::to(ChannelSeed {
        bot_is_member: false,
        ..ChannelSeed::default()
    })
    .await;
    step.run().await.unwrap();
    assert_eq!(step.fixture.calls("conversations.join").await, 1);
    assert_eq!(step.messages().await.len(), 1);
}

#[tokio::test]
async fn an_invocation_without_time_left_posts_nothing() {
    let step = Posting::to_a_private_channel().await;
    let mut late = invocation(EXECUTION);
    late.deadline = SystemTime::now() + Duration::from_secs(5);
    let error = handle(&step.deps, &late, step.input(None)).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::SlackUnavailable);
    assert_eq!(step.fixture.calls(POST).await, 0);
    assert!(!step.run().await.unwrap().duplicate);
}

/// What a person does to the channel between two steps.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Renames,
    MakesPublic,
    Shares,
    Archives,
    RemovesTheBot,
}

#[rstest]
#[case(Deed::Renames, ErrorName::ChannelNotFound)]
#[case(Deed::MakesPublic, ErrorName::ChannelNotFound)]
#[case(Deed::Shares, ErrorName::ChannelNotFound)]
#[case(Deed::Archives, ErrorName::ChannelNotFound)]
#[case(Deed::RemovesTheBot, ErrorName::ChannelNotFound)]
#[tokio::test]
async fn nothing_is_posted_to_a_channel_that_has_changed_since_it_was_confirmed(
    #[case] deed: Deed,
    #[case] expected: ErrorName,
) {
    let mut step = Posting::to_a_private_channel().await;
    step.deps.directory = step.fixture.directory_that_trusts(Duration::ZERO).await;
    let sandbox = &step.fixture.sandbox;
    let done = match deed {
        Deed::Renames => sandbox.rename_channel("guide", "guide-old").await,
        Deed::MakesPublic => sandbox.convert_to_public("guide").await,
        Deed::Shares => sandbox.share_channel("guide", true).await,
        Deed::Archives => sandbox.archive_channel("guide").await,
        Deed::RemovesTheBot => sandbox.remove_bot("guide").await,
    };
    done.unwrap();
    assert_eq!(step.run().await.unwrap_err().name(), expected);
    assert_eq!(step.fixture.calls(POST).await, 0);
}

#[tokio::test]
async fn slack_confirms_the_channel_in_the_invocation_that_posts() {
    let step = Posting::to_a_private_channel().await;
    step.run().await.unwrap();
    assert_eq!(step.fixture.calls("conversations.info").await, 0);
    let other = handle(&step.deps, &redriven("other"), step.input(None)).await;
    other.unwrap();
    assert_eq!(step.fixture.calls("conversations.info").await, 1);
}

#[tokio::test]
async fn a_message_is_looked_for_in_the_channel_in_which_an_earlier_attempt_posted() {
    let mut step = Posting::to_a_private_channel().await;
    let posted = step.run().await.unwrap().ts;
    step.forget_outcome().await;
    // Since then the channel was renamed, and another one has its name.
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    let earlier = step.channel.id.clone();
    step.channel = step.fixture.private_channel("guide", &[]).await;
    // The second time the record knows it.
    for _ in 0..2 {
        let found = step.run().await.unwrap();
        assert_eq!((&found.ts, found.duplicate), (&posted, true));
        assert_eq!(found.channel_id.as_ref(), Some(&earlier));
    }
    assert_eq!(step.messages().await, [""; 0]);
}

#[tokio::test]
async fn nothing_is_posted_while_the_bot_cannot_see_where_an_earlier_attempt_may_have_posted() {
    let mut step = Posting::to_a_private_channel().await;
    step.forget_outcome().await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    sandbox.remove_bot("guide-old").await.unwrap();
    step.channel = step.fixture.private_channel("guide", &[]).await;
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert_eq!(step.fixture.calls(POST).await, 0);
    step.fixture.sandbox.add_bot("guide-old").await.unwrap();
    assert!(!step.run().await.unwrap().duplicate);
}

#[tokio::test]
async fn a_channel_that_the_bot_cannot_see_is_not_forgotten_when_the_search_runs_out_of_time() {
    let mut step = Posting::to_a_private_channel().await;
    step.forget_outcome().await;
    let sandbox = &step.fixture.sandbox;
    sandbox.rename_channel("guide", "guide-old").await.unwrap();
    sandbox.remove_bot("guide-old").await.unwrap();
    step.channel = step.fixture.private_channel("guide", &[]).await;
    // The outcome of a second attempt, in the new channel, is unknown too.
    let at = SystemTime::now() - SETTLE_TIME;
    let place = Place::in_channel(&step.channel.id);
    let deliveries = &step.deps.deliveries;
    let claim = deliveries.claim(&attempt("second", &place, at), at).await;
    assert!(matches!(claim.unwrap(), Claim::Mine(_)));
    step.others_post(None).await;
    step.fixture.sandbox.clear_calls().await.unwrap();

    let error = step.post_in_twelve_seconds(None).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::SlackOutcomeUnknown);
    let error = step.run().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert_eq!(step.fixture.calls(POST).await, 0);
    step.fixture.sandbox.add_bot("guide-old").await.unwrap();
    assert!(!step.run().await.unwrap().duplicate);
}

#[tokio::test]
async fn the_place_in_a_thread_does_not_bound_the_search_in_the_channel() {
    let mut step = Posting::to_a_private_channel().await;
    let parent = handle(&step.deps, &invocation("other"), step.input(None)).await;
    let parent = parent.unwrap().ts;
    let thread = Some(parent.as_str());
    step.others_post(thread).await;
    let posted = step.run().await.unwrap().ts;
    step.forget_outcome_in(thread).await;
    let error = step.post_in_twelve_seconds(thread).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::SlackOutcomeUnknown);
    // Then the thread is deleted.
    let how = How::refused("thread_not_found");
    step.fixture.fail("conversations.replies", how, 2).await;
    let found = step.post(thread).await.unwrap();
    assert_eq!((found.ts, found.duplicate), (posted, true));
}

/// The step's outcome for a request that says this about its notification.
async fn notify(
    step: &Posting,
    execution: &str,
    notice: serde_json::Value,
) -> Result<MessageOutcome, StepError> {
    let mut input = step.input(None);
    input.notice = serde_json::from_value(notice).unwrap();
    post_message::handle(&step.deps, &invocation(execution), input).await
}

/// A time as requests give it.
fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let at = jiff::Timestamp::from_second(since_epoch.as_secs().cast_signed());
    at.unwrap().to_string()
}

fn expires(after: Duration) -> serde_json::Value {
    json!({ "expiresAt": rfc3339(SystemTime::now() + after) })
}

fn expired() -> serde_json::Value {
    json!({ "expiresAt": "2026-05-12T09:30:00Z" })
}

fn number(number: u64) -> serde_json::Value {
    json!({ "sequence": { "key": "guide", "number": number } })
}

const EXPIRED: MessageOutcome = MessageOutcome::NotPosted(NotPosted::Expired);
const SUPERSEDED: MessageOutcome = MessageOutcome::NotPosted(NotPosted::Superseded);

#[tokio::test]
async fn a_message_is_not_posted_after_it_has_expired_however_often_the_step_runs() {
    let step = Posting::to_a_private_channel().await;
    for _ in 0..2 {
        let outcome = notify(&step, EXECUTION, expired()).await;
        assert_eq!(outcome.unwrap(), EXPIRED);
    }
    assert_eq!(step.fixture.calls(POST).await, 0);
    // Its end is final, whatever a later attempt believes the time to be.
    let outcome = notify(&step, EXECUTION, json!({})).await;
    assert_eq!(outcome.unwrap(), EXPIRED);
    let other = notify(&step, "other", expires(Duration::from_hours(1))).await;
    assert!(other.unwrap().posted().is_some());
}

#[tokio::test]
async fn a_message_that_expires_while_it_waits_for_slack_is_not_posted() {
    let step = Posting::to_a_private_channel().await;
    let limited = How::RateLimited { retry_after: 1 };
    step.fixture.fail(POST, limited, 1).await;
    let expires = expires(Duration::from_secs(3));
    let error = notify(&step, EXECUTION, expires.clone()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::SlackRateLimited);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(notify(&step, EXECUTION, expires).await.unwrap(), EXPIRED);
    assert_eq!(step.messages().await.len(), 0);
}

#[tokio::test]
async fn a_message_that_may_have_been_posted_is_looked_for_though_it_has_expired() {
    let mut step = Posting::to_a_private_channel().await;
    let posted = step.run().await.unwrap().ts;
    step.forget_outcome().await;
    let found = notify(&step, EXECUTION, expired()).await.unwrap();
    let found = found.posted().unwrap();
    assert_eq!((&found.ts, found.duplicate), (&posted, true));

    let mut step = Posting::to_a_private_channel().await;
    step.forget_outcome().await;
    assert_eq!(notify(&step, EXECUTION, expired()).await.unwrap(), EXPIRED);
    assert_eq!(step.fixture.calls("conversations.history").await, 1);
    assert_eq!(step.fixture.calls(POST).await, 0);
}

#[tokio::test]
async fn a_message_that_comes_after_a_later_one_of_its_sequence_is_superseded() {
    let step = Posting::to_a_private_channel().await;
    let second = notify(&step, "second", number(2)).await.unwrap();
    assert!(second.posted().is_some());
    for _ in 0..2 {
        let first = notify(&step, "first", number(1)).await.unwrap();
        assert_eq!(first, SUPERSEDED);
    }
    for (execution, number) in [("again", 2), ("third", 3)] {
        let outcome = notify(&step, execution, self::number(number)).await;
        assert!(outcome.unwrap().posted().is_some());
    }
    let another = json!({ "sequence": { "key": "another", "number": 1 } });
    let another = notify(&step, "another", another).await.unwrap();
    assert!(another.posted().is_some());
    let again = notify(&step, "second", number(2)).await.unwrap();
    assert!(again.posted().unwrap().duplicate);
    assert_eq!(step.messages().await.len(), 4);
}

#[tokio::test]
async fn a_later_message_waits_while_the_outcome_of_an_earlier_one_is_unknown() {
    let step = Posting::to_a_private_channel().await;
    let lost = How::Reset {
        effect: Effect::Done,
    };
    step.fixture.fail(POST, lost, 1).await;
    let first = notify(&step, "first", number(1)).await.unwrap_err();
    assert_eq!(first.name(), ErrorName::SlackOutcomeUnknown);
    for number in [1, 2] {
        let other = notify(&step, "other", self::number(number)).await;
        assert_eq!(other.unwrap_err().name(), ErrorName::DeliveryInProgress);
    }
    tokio::time::sleep(SETTLE_TIME + Duration::from_secs(1)).await;
    let first = notify(&step, "first", number(1)).await.unwrap();
    assert!(first.posted().unwrap().duplicate);
    let other = notify(&step, "other", number(2)).await.unwrap();
    assert!(!other.posted().unwrap().duplicate);
    assert_eq!(step.messages().await.len(), 2);
}

#[tokio::test]
async fn a_message_that_slack_has_refused_does_not_hold_up_its_sequence() {
    let step = Posting::to_a_private_channel().await;
    step.fixture
        .fail(POST, How::refused("restricted_action"), 1)
        .await;
    let first = notify(&step, "first", number(1)).await.unwrap_err();
    assert_eq!(first.name(), ErrorName::SlackRejected);
    let second = notify(&step, "second", number(2)).await.unwrap();
    assert!(second.posted().is_some());
    // Somebody redrives the first one.
    let first = notify(&step, "first", number(1)).await.unwrap();
    assert_eq!(first, SUPERSEDED);
}

#[tokio::test]
async fn the_latest_of_many_messages_at_once_is_the_last_one() {
    let step = Posting::to_a_private_channel().await;
    let attempts = (1..=8).map(async |n| {
        loop {
            match notify(&step, &n.to_string(), number(n)).await {
                Ok(outcome) => return outcome.posted().map(|posted| (posted.ts.clone(), n)),
                Err(StepError::DeliveryInProgress { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut posted: Vec<_> = join_all(attempts).await.into_iter().flatten().collect();
    posted.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let numbers: Vec<u64> = posted.into_iter().map(|(_, n)| n).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&8));
}

#[tokio::test]
async fn an_execution_can_post_several_messages_each_for_its_purpose() {
    let step = Posting::to_a_private_channel().await;
    let mut posted = Vec::new();
    for purpose in [None, Some("reminder"), Some("escalation")] {
        for duplicate in [false, true] {
            let mut input = step.input(None);
            input.purpose = purpose.map(str::to_owned);
            let message = handle(&step.deps, &invocation(EXECUTION), input).await;
            let message = message.unwrap();
            assert_eq!(message.duplicate, duplicate, "{purpose:?}");
            posted.push(message.ts.as_str().to_owned());
        }
    }
    posted.dedup();
    assert_eq!(step.messages().await, posted);
}

/// The direct message with Ana, and its input.
async fn to_ana(step: &Posting) -> (DirectMessage, Input) {
    let ana = step.fixture.person("ana").await;
    let id = step.fixture.slack.conversations_open(&ana.id.0).await;
    let conversation = DirectMessage {
        id: id.unwrap(),
        email: ana.email,
        user_id: ana.id,
    };
    let input = Input {
        channel: None,
        conversation: Some(conversation.clone()),
        ..step.input(None)
    };
    (conversation, input)
}

#[tokio::test]
async fn a_direct_message_is_posted_once_and_found_after_an_unknown_outcome() {
    let step = Posting::to_a_private_channel().await;
    let (conversation, mut input) = to_ana(&step).await;
    let posted = post_message::handle(&step.deps, &invocation("first"), input.clone()).await;
    let posted = posted.unwrap();
    let posted = posted.posted().unwrap();
    assert_eq!(posted.channel_id.as_deref(), Some(conversation.id.as_str()));

    let lost = How::Reset {
        effect: Effect::Done,
    };
    step.fixture.fail(POST, lost, 1).await;
    input.purpose = Some("direct-message".to_owned());
    let unknown = handle(&step.deps, &invocation(EXECUTION), input.clone()).await;
    assert_eq!(unknown.unwrap_err().name(), ErrorName::SlackOutcomeUnknown);
    tokio::time::sleep(SETTLE_TIME + Duration::from_secs(1)).await;
    let found = handle(&step.deps, &invocation(EXECUTION), input).await;
    assert!(found.unwrap().duplicate);
    let got = step
        .fixture
        .sandbox
        .direct_message(&conversation.user_id.0)
        .await;
    assert_eq!(got.unwrap().unwrap().messages.len(), 2);
    // Nobody is asked about a direct message, which can't become anything else.
    assert_eq!(step.fixture.calls("conversations.info").await, 0);
}

#[tokio::test]
async fn after_a_redrive_the_person_is_looked_up_again_once() {
    let step = Posting::to_a_private_channel().await;
    let (_, input) = to_ana(&step).await;
    let run = async |lookups| {
        let mut redriven = redriven(EXECUTION);
        redriven.run.channel_lookups = Some(lookups);
        handle(&step.deps, &redriven, input.clone()).await
    };
    // The workflow goes back and opens the direct message again.
    let error = run(0).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert!(!run(2).await.unwrap().duplicate);
    // What is posted already needs no look-up.
    assert!(run(0).await.unwrap().duplicate);
}

#[tokio::test]
async fn a_direct_message_that_slack_does_not_know_is_opened_again() {
    let step = Posting::to_a_private_channel().await;
    let (_, mut input) = to_ana(&step).await;
    if let Some(conversation) = &mut input.conversation {
        conversation.id = "D0NOWHERE".to_owned();
    }
    let error = handle(&step.deps, &invocation(EXECUTION), input).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::ChannelNotFound);
}

#[tokio::test]
async fn a_direct_message_in_doubt_is_not_posted_into_another_conversation() {
    let mut step = Posting::to_a_private_channel().await;
    let (_, input) = to_ana(&step).await;
    step.channel.id = "D0NOWHERE".to_owned();
    step.forget_outcome().await;
    let error = handle(&step.deps, &invocation(EXECUTION), input).await;
    assert_eq!(error.unwrap_err().name(), ErrorName::ChannelNotFound);
    assert_eq!(step.fixture.calls(POST).await, 0);
}

#[tokio::test]
async fn a_message_mentions_those_whom_it_addresses() {
    let step = Posting::to_a_private_channel().await;
    let (ana, bob) = (
        step.fixture.person("ana").await,
        step.fixture.person("bob").await,
    );
    let mut input = step.input(None);
    let notice = json!({ "mention": [ana.email, bob.email], "actor": bob.email });
    input.notice = serde_json::from_value(notice).unwrap();
    input.users = vec![ana.clone(), bob.clone()];
    let posted = handle(&step.deps, &invocation(EXECUTION), input)
        .await
        .unwrap();
    assert_eq!(posted.mentioned, std::slice::from_ref(&ana.email));
    assert_eq!(
        json!(posted.not_mentioned),
        json!([{ "email": bob.email, "reason": "acted" }])
    );
    assert_eq!(
        step.sent().await["text"],
        format!("<@{}>, bob\nhello", ana.id.0)
    );
}

#[tokio::test]
async fn after_a_redrive_those_whom_a_message_mentions_are_looked_up_again_once() {
    let step = Posting::to_a_private_channel().await;
    let ana = step.fixture.person("ana").await;
    let run = async |execution, mention: &[&Email], lookups| {
        let mut input = step.input(None);
        input.notice = serde_json::from_value(json!({ "mention": mention })).unwrap();
        let mut redriven = redriven(execution);
        redriven.run.channel_lookups = Some(lookups);
        handle(&step.deps, &redriven, input).await
    };
    let error = run(EXECUTION, &[&ana.email], 0).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::ChannelNotFound);
    assert!(!run(EXECUTION, &[&ana.email], 2).await.unwrap().duplicate);
    // What is posted already needs no look-up, and neither does a message that mentions nobody.
    assert!(run(EXECUTION, &[&ana.email], 0).await.unwrap().duplicate);
    assert!(!run("other", &[], 0).await.unwrap().duplicate);
}

#[rstest]
#[case::in_time(-9 * 60, false)]
#[case::late(-11 * 60, true)]
#[case::by_a_clock_that_is_ahead(11 * 60, false)]
#[tokio::test]
async fn a_message_says_when_it_happened_if_that_was_more_than_ten_minutes_ago(
    #[case] seconds: i64,
    #[case] is_late: bool,
) {
    let step = Posting::to_a_private_channel().await;
    let occurred_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let mut input = step.input(None);
    input.notice =
        serde_json::from_value(json!({ "occurredAt": occurred_at.to_string() })).unwrap();
    let posted = handle(&step.deps, &invocation(EXECUTION), input).await;
    assert!(!posted.unwrap().duplicate);
    let text = &step.sent().await["text"];
    assert_eq!(text.ends_with(", delayed"), is_late, "{text}");
}

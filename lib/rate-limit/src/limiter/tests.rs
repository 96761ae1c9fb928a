use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::SlackClock;

const CHANNEL: &str = "chat.postMessage#C1";
const WORKSPACE: &str = "chat.postMessage";

fn quota(name: &str, millis: u64) -> Quota {
    Quota {
        name: name.to_owned(),
        interval: Duration::from_millis(millis),
        burst: 25,
    }
}

fn quotas() -> [Quota; 2] {
    [quota(CHANNEL, 1_000), quota(WORKSPACE, 100)]
}

fn calls(quotas: &[Quota], count: u32) -> Calls<'_> {
    Calls {
        quotas,
        count,
        planned: count,
        never_wait: false,
    }
}

fn now() -> u64 {
    SlackClock::default().now()
}

/// A reservation's item in the table.
fn reservation(quota: &str, slot: u64, left: u32) -> Value {
    let number = |number: u64| json!({ "N": number.to_string() });
    json!({
        "owner": { "S": "execution" }, "item": { "S": format!("PostMessage/{quota}") },
        "slot": number(slot), "delay": number(0),
        "calls": number(u64::from(left) + 1), "used": number(1),
    })
}

type Requests = Arc<Mutex<Vec<String>>>;

/// The limiter of an execution that started now. In its table every quota has this TAT, every condition holds,
/// and these reservations exist. Also returns the operations that the table receives.
fn limiter(status: u16, tat: u64, waits: u32, items: &[Value]) -> (StepLimiter, Requests) {
    let requests = Requests::default();
    let got = requests.clone();
    let items = items.to_vec();
    let http = infallible_client_fn(move |request: http::Request<SdkBody>| {
        let target = request.headers()["x-amz-target"].to_str().unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        got.lock().unwrap().push(operation);
        let answer = json!({
            "Attributes": { "tat": { "N": tat.to_string() } },
            "Responses": { "rate-limits": items },
        });
        http::Response::builder()
            .status(status)
            .body(SdkBody::from(answer.to_string()))
            .unwrap()
    });
    let aws = fake_aws::config(http);
    let shared = SharedLimiter::new(&aws, "rate-limits".to_owned(), SlackClock::default());
    let run = Run {
        execution_id: "execution".to_owned(),
        started_at: Some(now()),
        timeout_seconds: Some(24 * 60 * 60),
        waits,
        ..Run::default()
    };
    (Arc::new(shared).for_step(&run, "PostMessage"), requests)
}

fn requests(requests: &Requests) -> Vec<String> {
    std::mem::take(&mut *requests.lock().unwrap())
}

/// The length of the wait for a reserved call, in whole seconds.
fn seconds(limited: Limited) -> u64 {
    match limited {
        Limited::Wait(Wait {
            retry_after,
            is_certain: true,
        }) => (retry_after + Duration::from_millis(500)).as_secs(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_takes_from_each_of_its_quotas() {
    let (limiter, table) = limiter(200, now(), 0, &[]);
    let permit = limiter.acquire(calls(&quotas(), 1)).await.unwrap();
    let names: Vec<_> = permit
        .slots
        .iter()
        .map(|slot| slot.quota.as_str())
        .collect();
    assert_eq!(names, [CHANNEL, WORKSPACE]);
    assert_eq!(requests(&table), ["UpdateItem", "UpdateItem"]);
}

#[rstest]
#[case::the_call_alone(1, 1, &["UpdateItem", "PutItem"])]
#[case::the_planned_calls_too(1, 9, &["UpdateItem", "UpdateItem", "PutItem"])]
#[tokio::test]
async fn a_call_that_must_wait_is_reserved(
    #[case] count: u32,
    #[case] planned: u32,
    #[case] expected: &[&str],
) {
    let (limiter, table) = limiter(200, now() + 85_000, 0, &[]);
    let quotas = quotas();
    let calls = Calls {
        planned,
        ..calls(&quotas, count)
    };
    let limited = limiter.acquire(calls).await.unwrap_err();
    assert_eq!(seconds(limited), 60);
    assert_eq!(requests(&table), expected);
}

#[tokio::test]
async fn a_reserved_call_is_used_when_due_and_then_the_wider_quota_is_asked() {
    let reserved = reservation(CHANNEL, now(), 1);
    let (limiter, table) = limiter(200, now(), 1, &[reserved]);
    let permit = limiter.acquire(calls(&quotas(), 1)).await.unwrap();
    assert_eq!(permit.slots.len(), 2);
    let expected = ["BatchGetItem", "UpdateItem", "UpdateItem"];
    assert_eq!(requests(&table), expected);
}

#[tokio::test]
async fn a_reservation_in_the_wider_quota_means_the_narrower_one_is_passed() {
    let reserved = reservation(WORKSPACE, now(), 1);
    let (limiter, table) = limiter(200, now(), 1, &[reserved]);
    let permit = limiter.acquire(calls(&quotas(), 1)).await.unwrap();
    assert_eq!(permit.slots[0].quota, WORKSPACE);
    assert_eq!(requests(&table), ["BatchGetItem", "UpdateItem"]);
}

#[tokio::test]
async fn reserved_calls_are_read_once_and_used_one_by_one() {
    let reserved = reservation(CHANNEL, now(), 2);
    let (limiter, table) = limiter(200, now(), 1, &[reserved]);
    let quotas = [quota(CHANNEL, 1_000)];
    for expected in [&["BatchGetItem", "UpdateItem"][..], &["UpdateItem"]] {
        limiter.acquire(calls(&quotas, 1)).await.unwrap();
        assert_eq!(requests(&table), expected);
    }
    // The reservation is used up: the third call is taken from the quota.
    limiter.acquire(calls(&quotas, 1)).await.unwrap();
    assert_eq!(requests(&table), ["UpdateItem"]);
}

#[rstest]
#[case::due_in_a_minute(now() + 60_000, 60)]
#[case::checks_again_after_half_of_the_remaining_time(now() + 20 * 60 * 60_000, 12 * 60 * 60)]
#[tokio::test]
async fn a_reserved_call_waits_until_it_is_due(#[case] slot: u64, #[case] expected: u64) {
    let (limiter, table) = limiter(200, now(), 1, &[reservation(CHANNEL, slot, 1)]);
    let limited = limiter.acquire(calls(&quotas(), 1)).await.unwrap_err();
    assert_eq!(seconds(limited), expected);
    assert_eq!(requests(&table), ["BatchGetItem", "Query"]);
}

#[tokio::test]
async fn a_call_that_is_due_after_the_executions_end_fails() {
    let slot = now() + 25 * 60 * 60_000;
    let (limiter, _) = limiter(200, now(), 1, &[reservation(CHANNEL, slot, 1)]);
    let answer = limiter.acquire(calls(&quotas(), 1)).await;
    let Err(Limited::QueueTooLong { wait }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(wait.as_secs().div_ceil(60 * 60), 25);
}

#[rstest]
#[case::too_few_are_left(reservation(CHANNEL, now(), 1), 2)]
#[case::too_old(reservation(CHANNEL, now() - 11 * 60_000, 9), 1)]
#[tokio::test]
async fn calls_that_a_reservation_does_not_cover_are_taken_from_the_quota(
    #[case] reserved: Value,
    #[case] count: u32,
) {
    let (limiter, table) = limiter(200, now() + 85_000, 1, &[reserved]);
    let quotas = quotas();
    let limited = limiter.acquire(calls(&quotas, count)).await.unwrap_err();
    assert_eq!(seconds(limited), 60);
    assert_eq!(requests(&table), ["BatchGetItem", "UpdateItem", "PutItem"]);
}

#[tokio::test]
async fn a_further_page_counts_and_never_waits() {
    let (limiter, table) = limiter(200, now() + 85_000, 0, &[]);
    let quotas = [quota("conversations.members", 600)];
    let page = Calls {
        never_wait: true,
        ..calls(&quotas, 1)
    };
    limiter.acquire(page).await.unwrap();
    assert_eq!(requests(&table), ["UpdateItem"]);
}

#[tokio::test]
async fn an_unreachable_table_delays_nobody() {
    let (limiter, _) = limiter(400, 0, 1, &[]);
    let permit = limiter.acquire(calls(&quotas(), 1)).await.unwrap();
    assert_eq!(permit, Permit::default());
    let retry_after = Duration::from_secs(5);
    let quotas = quotas();
    let wait = limiter.penalize(calls(&quotas, 1), &permit, retry_after);
    let is_certain = false;
    assert_eq!(
        wait.await,
        Wait {
            retry_after,
            is_certain
        }
    );
}

#[tokio::test]
async fn a_refused_call_is_reserved_and_waits_as_long_as_slack_asks() {
    let (limiter, table) = limiter(200, now(), 0, &[]);
    let permit = limiter.acquire(calls(&quotas(), 1)).await.unwrap();
    requests(&table);
    let retry_after = Duration::from_secs(5);
    let quotas = quotas();
    let wait = limiter
        .penalize(calls(&quotas, 1), &permit, retry_after)
        .await;
    assert!(
        wait.retry_after.as_millis().abs_diff(5_000) < 500,
        "{wait:?}"
    );
    assert!(!wait.is_certain, "Slack may refuse it again");
    assert_eq!(requests(&table), ["UpdateItem", "UpdateItem"]);
}

#[rstest]
#[case::over_soon(3, &[CHANNEL])]
#[case::too_long_for_the_channel(30, &[CHANNEL, WORKSPACE])]
fn a_long_refusal_counts_for_the_wider_quota_too(#[case] seconds: u64, #[case] expected: &[&str]) {
    let quotas = quotas();
    let refused = quotas_that_refused(&quotas, Duration::from_secs(seconds));
    let names: Vec<&str> = refused.iter().map(|quota| quota.name.as_str()).collect();
    assert_eq!(names, expected);
}

//! Reminds a person with one message for everything that is due: posted exactly once, and never after an item in it has
//! moved.
//!
//! 1. Finish the person's last bundle, whoever stored it: post it, unless it does not hold any more. Then it is dropped.
//! 2. Read what is due, and store it as the next bundle.
//! 3. Post it, and record in each item's row that the person was told.
//!
//! A bundle that does not hold does not hold again: items only move on, and its day and the person's working time end. Only
//! a deployment with longer working hours could bring working time back. It is dropped by an attempt that has claimed its
//! delivery and knows that it was not posted. So what is in it can go into the next one.

use apgl_contract::{
    DueDate, MessageTs, SlackUserId, StepError,
    outcome::MessageOutcome,
    reminders::{Part, RemindedOf},
};
use apgl_stores::{
    Bundle, BundleContent, BundleEntry, BundleLedger, BundleState, Deliveries, Delivery, Ledger,
};
use jiff::Timestamp;

use crate::{
    guard::WhileItHolds,
    protocol::{NotDelivered, Outbox, deliver},
};

/// How many bundles an attempt stores or finishes before it gives up. Items that keep moving use them up.
const MOST_TURNS: usize = 10;

/// The person, their items and their direct message. Production implements it with Slack and tables, the model in memory.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so the futures need not be Send"
)]
pub trait Desk {
    type Outbox<'a>: Outbox
    where
        Self: 'a;

    /// The calendar's time.
    async fn now(&self) -> Result<Timestamp, StepError>;

    /// What is due now and belongs in this part of the day's messages; `None` if there is nothing.
    async fn due(
        &self,
        part: Part,
        now: Timestamp,
    ) -> Result<Option<(Vec<BundleEntry>, BundleContent)>, StepError>;

    /// Whether the bundle may be posted: none of its items has moved, it is still its day, and, by the settings of each item,
    /// it is working time or the bundle was stored a short time ago.
    async fn holds(&self, bundle: &Bundle) -> Result<bool, StepError>;

    /// Records in the rows of the bundle's items that the person was told. An item that has moved since is left alone.
    async fn record(&self, bundle: &Bundle) -> Result<(), StepError>;

    fn delivery(&self, bundle: &Bundle) -> Delivery;

    fn outbox<'a>(&'a self, bundle: &'a Bundle, delivery: &'a Delivery) -> Self::Outbox<'a>;
}

/// What became of a part of a day's messages.
#[derive(Debug, Clone, PartialEq)]
pub enum Reminded {
    /// The person was told of these items, by this message.
    Of(Vec<RemindedOf>, MessageTs),
    /// The person was told before, and a later message has been stored since.
    Before,
    /// Nothing was due.
    OfNothing,
}

/// Sends this part of the day's messages, unless nothing is due.
///
/// # Errors
/// [`NotDelivered`].
pub async fn remind(
    bundles: &impl BundleLedger,
    deliveries: &Deliveries<impl Ledger>,
    desk: &impl Desk,
    user: &SlackUserId,
    (day, part): (DueDate, Part),
) -> Result<Reminded, NotDelivered> {
    for _ in 0..MOST_TURNS {
        let last = bundles.latest_bundle(user).await?;
        match &last {
            Some(bundle) if bundle.state == BundleState::Open => {
                let finished = finish(deliveries, desk, bundle).await?;
                bundles
                    .replace_bundle(user, last.as_ref(), &finished)
                    .await?;
            }
            Some(bundle) if bundle.has_sent(day, part) => {
                let is_last = bundle.part == part;
                return Ok(if is_last {
                    told(bundle)
                } else {
                    Reminded::Before
                });
            }
            _ => {
                let now = desk.now().await?;
                let Some((entries, content)) = desk.due(part, now).await? else {
                    return Ok(Reminded::OfNothing);
                };
                let next = Bundle::next(last.as_ref(), (day, part), entries, content, now);
                bundles.replace_bundle(user, last.as_ref(), &next).await?;
            }
        }
    }
    Err(NotDelivered::Ledger(StepError::StoreUnavailable {
        store: "the ledger of bundles".to_owned(),
        operation: "PutItem",
        reason: "what is due for the person kept changing".to_owned(),
    }))
}

/// That the person was told of this bundle, which was sent.
fn told(bundle: &Bundle) -> Reminded {
    let items = bundle.entries.iter().map(|entry| entry.of.clone());
    match &bundle.ts {
        Some(ts) => Reminded::Of(items.collect(), ts.clone()),
        None => Reminded::Before,
    }
}

/// Posts an open bundle, or drops it.
async fn finish<D: Desk>(
    deliveries: &Deliveries<impl Ledger>,
    desk: &D,
    bundle: &Bundle,
) -> Result<Bundle, NotDelivered> {
    let delivery = desk.delivery(bundle);
    let outbox = WhileItHolds::new(desk.outbox(bundle, &delivery), async || {
        desk.holds(bundle).await
    });
    match deliver(deliveries, &outbox, &delivery).await {
        Ok(MessageOutcome::Posted(posted)) => {
            desk.record(bundle).await?;
            Ok(bundle.as_sent(&posted.ts))
        }
        Ok(_) => Err(NotDelivered::Ledger(StepError::StepBug {
            what: "a reminder neither expires nor is in a sequence".into(),
        })),
        Err(error) if outbox.is_dropped(&error) => {
            tracing::info!(
                bundle.number = bundle.number,
                "an item has moved, or the day is over: the reminder is not sent"
            );
            Ok(bundle.as_dropped())
        }
        Err(error) => Err(error),
    }
}

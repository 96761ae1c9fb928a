//! The states of a delivery and the transitions between them, without a clock or a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use apgl_contract::{MessageTs, outcome::NotPosted};
use serde::{Deserialize, Serialize};

use super::{Delivery, SETTLE_TIME, sequence::LockChange};
use crate::table::{epoch_millis, time_of};

/// The largest expected difference between Slack's clock, Step Functions' and ours, in milliseconds.
const CLOCK_MARGIN: u64 = 60_000;

/// A stored delivery; `docs/delivery.md` explains the states. The attempt and the state show whether a record has
/// changed. An attempt writes `CLAIMED` a second time only to end its lease earlier, which invalidates no decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "UPPERCASE",
    rename_all_fields = "camelCase"
)]
pub enum Record {
    Claimed {
        attempt: String,
        /// When the delivery's execution was started. An execution's name can be used again after 90 days; then its
        /// record is about another message. `None` if the attempt does not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_started_at: Option<u64>,
        /// In milliseconds since the epoch, like all times here.
        claimed_at: u64,
        lease_ends_at: u64,
        /// Where the attempt posts. Release 0.1 did not write it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
        #[serde(flatten)]
        doubt: Doubt,
    },
    Released {
        attempt: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_started_at: Option<u64>,
        #[serde(flatten)]
        doubt: Doubt,
    },
    Posted {
        attempt: String,
        ts: MessageTs,
        /// The id of the channel in which the message is. Release 0.1 did not write it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_started_at: Option<u64>,
    },
    /// The message was not posted in time, and no attempt posts it any more.
    Expired {
        attempt: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_started_at: Option<u64>,
    },
    /// A later message of its sequence was posted first, and no attempt posts this one any more.
    Superseded {
        attempt: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_started_at: Option<u64>,
    },
}

/// A list of messages: those of a channel outside of threads, or those of a thread. It is stored as `C012AB3CD`, or as
/// `C012AB3CD#1716900000.000100`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Place {
    /// The channel's id.
    pub channel: String,
    /// The timestamp of the thread's first message.
    pub thread: Option<String>,
}

impl Place {
    pub fn in_channel(channel: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            thread: None,
        }
    }
}

impl From<Place> for String {
    fn from(Place { channel, thread }: Place) -> Self {
        thread.map_or_else(|| channel.clone(), |thread| format!("{channel}#{thread}"))
    }
}

impl From<String> for Place {
    fn from(stored: String) -> Self {
        let (channel, thread) = match stored.split_once('#') {
            Some((channel, thread)) => (channel.to_owned(), Some(thread.to_owned())),
            None => (stored, None),
        };
        Self { channel, thread }
    }
}

/// How far a search has come in each place: the last message that was looked at.
pub type Searched = BTreeMap<Place, MessageTs>;

/// Whether, when and where earlier attempts may have posted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Doubt {
    /// When the earliest of these attempts began. `None` if none can have posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncertain_since: Option<u64>,
    /// None of them can have posted after this time. Release 0.1 did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncertain_until: Option<u64>,
    /// Where they may have posted. People rename and replace channels, and delete threads, meanwhile.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    uncertain_in: BTreeSet<Place>,
    /// How far the search for the message has come, while there is no new doubt.
    #[serde(default, skip_serializing_if = "Searched::is_empty")]
    searched_to: Searched,
}

/// What a new attempt does with the stored record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Write this record.
    Claim(Record),
    /// Continue: the attempt has already written this record, and only the response to the write was lost.
    GoOn(Record),
    /// Wait: another attempt, or its request to Slack, may be in progress for this long.
    Wait(Duration),
    /// Write this record: the message is not posted any more.
    End(Record),
    /// Return the message that is in Slack, in this channel if that is known.
    Answer(MessageTs, Option<String>),
    /// Return why the message is not posted.
    AnswerNotPosted(NotPosted),
}

impl Record {
    pub(super) fn next_step(
        stored: Option<&Self>,
        delivery: &Delivery,
        now: SystemTime,
    ) -> NextStep {
        let attempt_id = &delivery.attempt_id;
        let stored = stored.filter(|stored| !stored.is_of_another(delivery.execution_started_at));
        let known = stored.and_then(Self::execution_started_at);
        let execution_started_at = delivery.execution_started_at.or(known);
        let claim = |doubt: Doubt| {
            if delivery.has_expired(now) && doubt.uncertain_since.is_none() {
                return NextStep::End(Self::Expired {
                    attempt: attempt_id.clone(),
                    execution_started_at,
                });
            }
            NextStep::Claim(Self::Claimed {
                attempt: attempt_id.clone(),
                execution_started_at,
                claimed_at: epoch_millis(now),
                lease_ends_at: epoch_millis(delivery.deadline),
                place: Some(delivery.place.clone()),
                doubt,
            })
        };
        match stored {
            None => claim(Doubt::default()),
            Some(Self::Posted { ts, channel, .. }) => NextStep::Answer(ts.clone(), channel.clone()),
            Some(Self::Expired { .. }) => NextStep::AnswerNotPosted(NotPosted::Expired),
            Some(Self::Superseded { .. }) => NextStep::AnswerNotPosted(NotPosted::Superseded),
            Some(Self::Released { doubt, .. }) => claim(doubt.clone()),
            Some(mine @ Self::Claimed { attempt, .. }) if attempt == attempt_id => {
                NextStep::GoOn(mine.clone())
            }
            Some(Self::Claimed {
                claimed_at,
                lease_ends_at,
                place,
                doubt,
                ..
            }) => {
                // Earlier doubts have ended before this attempt began.
                let until = time_of(*lease_ends_at) + SETTLE_TIME;
                match until.duration_since(now) {
                    Ok(left) if !left.is_zero() => NextStep::Wait(left),
                    _ => claim(Doubt {
                        uncertain_since: doubt.uncertain_since.or(Some(*claimed_at)),
                        uncertain_until: Some(epoch_millis(until)),
                        uncertain_in: doubt.uncertain_in.iter().chain(place).cloned().collect(),
                        // The new doubt is about messages that the search may have passed.
                        searched_to: Searched::new(),
                    }),
                }
            }
        }
    }

    /// The change of the lock that comes with a claim.
    pub(super) fn claims_the_lock(&self) -> Option<LockChange> {
        Some(self.lock_change()).filter(|change| matches!(change, LockChange::Take { .. }))
    }

    /// What writing this record changes in the lock of the delivery's sequence. A delivery holds the lock from its claim
    /// until it is certain whether it was posted.
    pub(super) fn lock_change(&self) -> LockChange {
        match self {
            Self::Claimed {
                claimed_at,
                lease_ends_at,
                ..
            } => LockChange::Take {
                now: *claimed_at,
                lease_ends_at: *lease_ends_at,
            },
            Self::Released { doubt, .. } if doubt.uncertain_since.is_some() => LockChange::Keep,
            Self::Released { .. } | Self::Expired { .. } | Self::Superseded { .. } => {
                LockChange::Free
            }
            Self::Posted { .. } => LockChange::Advance,
        }
    }

    fn execution_started_at(&self) -> Option<u64> {
        match self {
            Self::Claimed {
                execution_started_at,
                ..
            }
            | Self::Released {
                execution_started_at,
                ..
            }
            | Self::Posted {
                execution_started_at,
                ..
            }
            | Self::Expired {
                execution_started_at,
                ..
            }
            | Self::Superseded {
                execution_started_at,
                ..
            } => *execution_started_at,
        }
    }

    /// Whether the record belongs to an earlier execution with the same name.
    fn is_of_another(&self, started_at: Option<u64>) -> bool {
        let Some(started_at) = started_at else {
            return false;
        };
        let is_before_the_start = |millis: u64| millis.saturating_add(CLOCK_MARGIN) < started_at;
        match (self.execution_started_at(), self) {
            (Some(theirs), _) => theirs != started_at,
            // Release 0.1 did not write the start, but no execution posts before it starts.
            (None, Self::Claimed { claimed_at, .. }) => is_before_the_start(*claimed_at),
            (None, Self::Posted { ts, .. }) => {
                is_before_the_start(ts.epoch_seconds().saturating_mul(1_000))
            }
            (None, Self::Released { doubt, .. }) => {
                doubt.uncertain_since.is_some_and(is_before_the_start)
            }
            // Release 0.1 wrote none.
            (None, Self::Expired { .. } | Self::Superseded { .. }) => false,
        }
    }

    fn doubt(&self) -> Option<&Doubt> {
        match self {
            Self::Claimed { doubt, .. } | Self::Released { doubt, .. } => Some(doubt),
            Self::Posted { .. } | Self::Expired { .. } | Self::Superseded { .. } => None,
        }
    }

    /// The attempt that wrote the record.
    pub fn attempt(&self) -> &str {
        match self {
            Self::Claimed { attempt, .. }
            | Self::Released { attempt, .. }
            | Self::Posted { attempt, .. }
            | Self::Expired { attempt, .. }
            | Self::Superseded { attempt, .. } => attempt,
        }
    }

    /// The state as it is stored in the table.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Claimed { .. } => "CLAIMED",
            Self::Released { .. } => "RELEASED",
            Self::Posted { .. } => "POSTED",
            Self::Expired { .. } => "EXPIRED",
            Self::Superseded { .. } => "SUPERSEDED",
        }
    }

    pub(super) fn uncertain_since(&self) -> Option<SystemTime> {
        self.doubt()?.uncertain_since.map(time_of)
    }

    pub(super) fn uncertain_until(&self) -> Option<SystemTime> {
        self.doubt()?.uncertain_until.map(time_of)
    }

    /// Where earlier attempts may have posted.
    pub(super) fn uncertain_in(&self) -> BTreeSet<Place> {
        let doubt = self.doubt();
        doubt
            .map(|doubt| doubt.uncertain_in.clone())
            .unwrap_or_default()
    }

    pub(super) fn searched_to(&self) -> Searched {
        let doubt = self.doubt();
        doubt
            .map(|doubt| doubt.searched_to.clone())
            .unwrap_or_default()
    }

    pub(super) fn set_searched_to(&mut self, searched: Searched) {
        if let Self::Claimed { doubt, .. } = self {
            doubt.searched_to = searched;
        }
    }

    pub(super) fn certain(mut self) -> Self {
        if let Self::Claimed { doubt, .. } = &mut self {
            *doubt = Doubt::default();
        }
        self
    }

    pub(super) fn released(&self) -> Self {
        Self::Released {
            attempt: self.attempt().to_owned(),
            execution_started_at: self.execution_started_at(),
            doubt: self.doubt().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn expired(&self) -> Self {
        Self::Expired {
            attempt: self.attempt().to_owned(),
            execution_started_at: self.execution_started_at(),
        }
    }

    pub(super) fn superseded(&self) -> Self {
        Self::Superseded {
            attempt: self.attempt().to_owned(),
            execution_started_at: self.execution_started_at(),
        }
    }

    pub(super) fn given_up(&self, now: SystemTime) -> Self {
        let mut record = self.clone();
        if let Self::Claimed { lease_ends_at, .. } = &mut record {
            *lease_ends_at = epoch_millis(now);
        }
        record
    }

    pub(super) fn posted(&self, ts: &MessageTs, channel: &str) -> Self {
        Self::Posted {
            attempt: self.attempt().to_owned(),
            execution_started_at: self.execution_started_at(),
            ts: ts.clone(),
            channel: Some(channel.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::table::{Item, number, text};

    fn place(channel: &str) -> Place {
        Place::in_channel(channel)
    }

    /// The delivery of an attempt that posts in this channel and ends before `deadline`.
    fn delivery(attempt_id: &str, channel: &str, deadline: u64) -> Delivery {
        Delivery {
            id: "d".to_owned(),
            attempt_id: attempt_id.to_owned(),
            place: place(channel),
            execution_started_at: None,
            expires_at: None,
            in_sequence: None,
            deadline: time_of(deadline),
        }
    }

    fn claimed(attempt: &str, uncertain_since: Option<u64>) -> Record {
        Record::Claimed {
            attempt: attempt.to_owned(),
            execution_started_at: None,
            claimed_at: 1_000,
            lease_ends_at: 60_000,
            place: Some(place("C1")),
            doubt: Doubt {
                uncertain_since,
                ..Doubt::default()
            },
        }
    }

    fn released(uncertain_since: Option<u64>) -> Record {
        Record::Released {
            attempt: "a".to_owned(),
            execution_started_at: None,
            doubt: Doubt {
                uncertain_since,
                uncertain_until: uncertain_since.map(|_| 900),
                ..Doubt::default()
            },
        }
    }

    fn posted() -> Record {
        claimed("a", None).posted(&ts(), "C1")
    }

    fn ts() -> MessageTs {
        MessageTs::try_from("1.000100".to_owned()).unwrap()
    }

    fn answers() -> NextStep {
        NextStep::Answer(ts(), Some("C1".to_owned()))
    }

    fn claims(now_millis: u64, uncertain: Option<(u64, u64)>) -> NextStep {
        claims_in(&[], now_millis, uncertain)
    }

    fn claims_in(channels: &[&str], now_millis: u64, uncertain: Option<(u64, u64)>) -> NextStep {
        let places = channels.iter().map(|channel| place(channel));
        NextStep::Claim(Record::Claimed {
            attempt: "new".to_owned(),
            execution_started_at: None,
            claimed_at: now_millis,
            lease_ends_at: 200_000,
            place: Some(place("C2")),
            doubt: Doubt {
                uncertain_since: uncertain.map(|(since, _)| since),
                uncertain_until: uncertain.map(|(_, until)| until),
                uncertain_in: places.collect(),
                searched_to: Searched::new(),
            },
        })
    }

    fn waits(seconds: u64) -> NextStep {
        NextStep::Wait(Duration::from_secs(seconds))
    }

    #[rstest]
    #[case::first_attempt(None, 2_000, claims(2_000, None))]
    #[case::another_is_running(Some(claimed("a", None)), 30_000, waits(40))]
    #[case::its_request_may_still_arrive(Some(claimed("a", None)), 69_000, waits(1))]
    #[case::it_never_ended(Some(claimed("a", None)), 70_000, claims_in(&["C1"], 70_000, Some((1_000, 70_000))))]
    #[case::the_earliest_doubt_counts(
        Some(claimed("a", Some(500))),
        70_000,
        claims_in(&["C1"], 70_000, Some((500, 70_000)))
    )]
    #[case::it_posted_nothing(Some(released(None)), 2_000, claims(2_000, None))]
    #[case::but_an_earlier_attempt_may_have_posted(
        Some(released(Some(500))),
        2_000,
        claims(2_000, Some((500, 900)))
    )]
    #[case::it_was_this_attempt(
        Some(claimed("new", None)),
        2_000,
        NextStep::GoOn(claimed("new", None))
    )]
    #[case::it_posted(Some(posted()), u64::MAX / 2, answers())]
    fn a_new_attempt_continues_when_no_other_is_running(
        #[case] stored: Option<Record>,
        #[case] now_millis: u64,
        #[case] expected: NextStep,
    ) {
        let delivery = delivery("new", "C2", 200_000);
        let step = Record::next_step(stored.as_ref(), &delivery, time_of(now_millis));
        assert_eq!(step, expected);
    }

    #[test]
    fn an_attempt_that_gives_up_ends_its_lease_and_keeps_the_doubt() {
        let given_up = claimed("a", Some(500)).given_up(time_of(20_000));
        let delivery = delivery("new", "C2", 200_000);
        let step = |now| Record::next_step(Some(&given_up), &delivery, time_of(now));
        assert_eq!(step(29_000), waits(1));
        assert_eq!(
            step(30_000),
            claims_in(&["C1"], 30_000, Some((500, 30_000)))
        );
    }

    #[test]
    fn every_channel_in_which_an_attempt_may_have_posted_is_kept() {
        let next = |stored: &Record, attempt, channel| {
            let delivery = delivery(attempt, channel, 100_000);
            match Record::next_step(Some(stored), &delivery, time_of(100_000)) {
                NextStep::Claim(record) => record,
                other => panic!("{other:?}"),
            }
        };
        let second = next(&claimed("a", None), "b", "C2");
        let second = second.released();
        let third = next(&second, "c", "C3").given_up(time_of(0));
        let places = |names: &[&str]| names.iter().map(|name| place(name)).collect();
        assert_eq!(third.uncertain_in(), places(&["C1"]));
        let fourth = next(&third, "d", "C2");
        assert_eq!(fourth.uncertain_in(), places(&["C1", "C3"]));
        assert_eq!(fourth.certain().uncertain_in(), places(&[]));
    }

    #[test]
    fn a_search_goes_on_where_it_stopped_until_there_is_a_new_doubt() {
        let searched = Searched::from([
            (place("C1"), ts()),
            (Place::from("C1#1.000000".to_owned()), ts()),
        ]);
        let next = |attempt, stored: &Record| {
            let delivery = delivery(attempt, "C2", 150_000);
            match Record::next_step(Some(stored), &delivery, time_of(100_000)) {
                NextStep::Claim(record) => record,
                other => panic!("{other:?}"),
            }
        };
        let mut stopped = claimed("a", Some(500));
        stopped.set_searched_to(searched.clone());
        let stopped = stopped.released();
        assert_eq!(next("b", &stopped).searched_to(), searched);
        let crashed = next("b", &stopped).given_up(time_of(0));
        assert_eq!(next("c", &crashed).searched_to(), Searched::new());
    }

    /// Release 0.1 wrote no end of the doubt: the message is then looked for among all messages since.
    #[test]
    fn a_doubt_that_release_0_1_wrote_has_no_end() {
        let item = Item::from([
            ("state".to_owned(), text("RELEASED")),
            ("attempt".to_owned(), text("a")),
            ("uncertainSince".to_owned(), number(500)),
        ]);
        let record: Record = serde_dynamo::from_item(item).unwrap();
        assert_eq!(record.uncertain_since(), Some(time_of(500)));
        assert_eq!(record.uncertain_until(), None);
    }

    #[rstest]
    #[case::the_same_execution(Some(1), Some(1), true)]
    #[case::a_redriven_execution_does_not_know(Some(1), None, true)]
    #[case::an_older_release_did_not_write_it(None, Some(2), true)]
    #[case::an_older_release_posted_it_for_another(None, Some(62_000), false)]
    #[case::another_execution_with_the_same_name(Some(1), Some(2), false)]
    fn a_record_of_an_earlier_execution_with_the_same_name_does_not_count(
        #[case] stored: Option<u64>,
        #[case] mine: Option<u64>,
        #[case] counts: bool,
    ) {
        let mut record = posted();
        if let Record::Posted {
            execution_started_at,
            ..
        } = &mut record
        {
            *execution_started_at = stored;
        }
        let delivery = Delivery {
            execution_started_at: mine,
            ..delivery("new", "C2", 200_000)
        };
        let step = Record::next_step(Some(&record), &delivery, time_of(2_000));
        if counts {
            assert_eq!(step, answers());
            return;
        }
        let NextStep::Claim(claimed) = step else {
            panic!("{step:?}");
        };
        assert_eq!(claimed.execution_started_at(), mine);
        assert_eq!(claimed.uncertain_since(), None);
    }

    fn expired(attempt: &str) -> Record {
        Record::Expired {
            attempt: attempt.to_owned(),
            execution_started_at: None,
        }
    }

    #[rstest]
    #[case::first_attempt(None, NextStep::End(expired("new")))]
    #[case::certainly_not_posted(Some(released(None)), NextStep::End(expired("new")))]
    #[case::it_may_be_posted(Some(released(Some(500))), claims(50_000, Some((500, 900))))]
    #[case::another_is_running(Some(claimed("a", None)), waits(20))]
    #[case::it_was_posted(Some(posted()), answers())]
    #[case::it_has_expired(Some(expired("a")), NextStep::AnswerNotPosted(NotPosted::Expired))]
    #[case::superseded(
        Some(claimed("a", None).superseded()),
        NextStep::AnswerNotPosted(NotPosted::Superseded)
    )]
    fn what_has_expired_is_posted_no_more_and_looked_for_if_in_doubt(
        #[case] stored: Option<Record>,
        #[case] expected: NextStep,
    ) {
        let delivery = Delivery {
            expires_at: Some(time_of(49_999)),
            ..delivery("new", "C2", 200_000)
        };
        let step = Record::next_step(stored.as_ref(), &delivery, time_of(50_000));
        assert_eq!(step, expected);
    }

    #[test]
    fn a_record_is_stored_flat_and_read_again() {
        let record = claimed("a", None);
        let item: Item = serde_dynamo::to_item(&record).unwrap();
        let expected = Item::from([
            ("state".to_owned(), text("CLAIMED")),
            ("attempt".to_owned(), text("a")),
            ("claimedAt".to_owned(), number(1_000)),
            ("leaseEndsAt".to_owned(), number(60_000)),
            ("place".to_owned(), text("C1")),
        ]);
        assert_eq!(item, expected);
        assert_eq!(serde_dynamo::from_item::<_, Record>(item).unwrap(), record);
    }

    #[rstest]
    #[case(claimed("a", None).expired(), "EXPIRED")]
    #[case(claimed("a", None).superseded(), "SUPERSEDED")]
    fn an_end_is_stored_and_read_again(#[case] record: Record, #[case] state: &str) {
        let item: Item = serde_dynamo::to_item(&record).unwrap();
        let expected = [("state", text(state)), ("attempt", text("a"))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(item, Item::from(expected));
        assert_eq!(record.state(), state);
        assert_eq!(serde_dynamo::from_item::<_, Record>(item).unwrap(), record);
    }

    #[test]
    fn a_doubt_is_stored_flat_and_read_again() {
        let thread = Place::from("C1#1.000000".to_owned());
        let mut record = claimed("a", Some(500));
        if let Record::Claimed { doubt, .. } = &mut record {
            doubt.uncertain_until = Some(900);
            doubt.uncertain_in = BTreeSet::from([thread.clone(), place("C2")]);
            doubt.searched_to = Searched::from([(thread, ts())]);
        }
        for record in [record.released(), record] {
            let item: Item = serde_dynamo::to_item(&record).unwrap();
            assert_eq!(item["uncertainSince"], number(500));
            assert_eq!(item["uncertainUntil"], number(900));
            let searched_to = item["searchedTo"].as_m().unwrap();
            assert_eq!(searched_to["C1#1.000000"], text("1.000100"));
            assert_eq!(serde_dynamo::from_item::<_, Record>(item).unwrap(), record);
        }
    }

    #[test]
    fn other_attributes_of_an_item_are_ignored() {
        let mut item: Item = serde_dynamo::to_item(posted()).unwrap();
        item.insert("deliveryId".to_owned(), text("d"));
        item.insert("expiresAt".to_owned(), number(9_999));
        assert_eq!(
            serde_dynamo::from_item::<_, Record>(item).unwrap(),
            posted()
        );
    }
}

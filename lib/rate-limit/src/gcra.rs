//! The generic cell rate algorithm (GCRA): pure arithmetic on the state of one quota.
//!
//! A quota's state is its theoretical arrival time (TAT): when the next call would arrive if calls were evenly
//! spaced. Each call advances the TAT by one interval, and is ready `burst` intervals before the new TAT. An idle
//! quota therefore allows a burst, and a busy one allows one call per interval.
//!
//! A penalty adds to the delay of the whole quota. Slots are stored without the delay, so a penalty shifts all
//! slots by the same time and keeps their order.
//!
//! Times are in milliseconds of Slack's time since the epoch.

use std::time::Duration;

use apgl_slack::quotas::{Quota, Slot};

/// The state of a quota. An unused quota is all zeros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gcra {
    /// The theoretical arrival time of the next call, including the delay.
    pub tat: u64,
    /// The total delay from penalties.
    pub delay: u64,
}

impl Gcra {
    /// The state after `calls` more calls.
    #[must_use]
    pub fn after(self, quota: &Quota, calls: u32, now: u64) -> Self {
        Self {
            tat: self.tat.max(now) + interval(quota) * u64::from(calls),
            ..self
        }
    }

    /// The slot of the calls that led to this state. All of them are ready at its time.
    pub fn last_slot(self, quota: &Quota) -> Slot {
        Slot {
            quota: quota.name.clone(),
            at: self.tat.saturating_sub(tolerance(quota) + self.delay),
            delay: self.delay,
        }
    }

    /// When `calls` more calls would be ready.
    pub fn ready_after(self, quota: &Quota, calls: u32, now: u64) -> u64 {
        let after = self.after(quota, calls, now);
        after.ready_at(&after.last_slot(quota))
    }

    /// The latest TAT to which `calls` calls can be added so that they are still ready by `latest`.
    pub fn latest_tat(quota: &Quota, calls: u32, latest: u64) -> u64 {
        (latest + tolerance(quota)).saturating_sub(interval(quota) * u64::from(calls))
    }

    /// When a call with this slot is ready.
    pub fn ready_at(self, slot: &Slot) -> u64 {
        slot.at + self.delay
    }

    /// The state after Slack has refused a call with this slot until `until`. The slot moves to that time, and
    /// all other slots move with it. Reporting the same refusal again, or late, changes nothing.
    #[must_use]
    pub fn penalized(self, slot: &Slot, until: u64) -> Self {
        let longer = until.saturating_sub(self.ready_at(slot));
        Self {
            tat: self.tat + longer,
            delay: self.delay + longer,
        }
    }
}

/// Unused slots of an execution that has ended: `calls` slots, one interval apart, the last at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSlots {
    /// The time without the delay, as in [`Slot`].
    pub at: u64,
    pub calls: u32,
}

impl FreeSlots {
    /// Takes the earliest slots for `calls` calls that have not passed by `now`. Returns the last of them, and
    /// the number of free slots left after it. `None` if there are too few.
    pub fn take(self, quota: &Quota, delay: u64, calls: u32, now: u64) -> Option<(Slot, u32)> {
        let now = now.saturating_sub(delay);
        let to_come = self.at.checked_sub(now)? / interval(quota) + 1;
        let to_come = self.calls.min(u32::try_from(to_come).unwrap_or(u32::MAX));
        let left = to_come.checked_sub(calls)?;
        let slot = Slot {
            quota: quota.name.clone(),
            at: self.at - interval(quota) * u64::from(left),
            delay,
        };
        Some((slot, left))
    }
}

pub(crate) fn interval(quota: &Quota) -> u64 {
    millis(quota.interval).max(1)
}

fn tolerance(quota: &Quota) -> u64 {
    interval(quota) * u64::from(quota.burst.max(1))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const NOW: u64 = 1_000_000_000;

    /// One call per second, with this burst.
    fn quota(burst: u32) -> Quota {
        Quota {
            name: "quota".to_owned(),
            interval: Duration::from_secs(1),
            burst,
        }
    }

    /// Makes reservations one after the other, each at a time and for a number of calls. Returns when each is
    /// ready, relative to `NOW`.
    fn ready(burst: u32, reservations: &[(u64, u32)]) -> Vec<u64> {
        let (quota, mut gcra) = (quota(burst), Gcra::default());
        let mut ready = Vec::new();
        for (at, calls) in reservations {
            gcra = gcra.after(&quota, *calls, NOW + at);
            ready.push(gcra.ready_at(&gcra.last_slot(&quota)).max(NOW + at) - NOW);
        }
        ready
    }

    #[rstest]
    #[case::a_burst_and_then_evenly(2, &[(0, 1), (0, 1), (0, 1), (0, 1)], &[0, 0, 1_000, 2_000])]
    #[case::no_burst(1, &[(0, 1), (0, 1), (0, 1)], &[0, 1_000, 2_000])]
    #[case::a_burst_again_after_a_rest(2, &[(0, 1), (0, 1), (0, 1), (9_000, 1), (9_000, 1), (9_000, 1)], &[0, 0, 1_000, 9_000, 9_000, 10_000])]
    #[case::half_a_burst_after_half_a_rest(2, &[(0, 2), (1_000, 1), (1_000, 1)], &[0, 1_000, 2_000])]
    #[case::many_calls_wait_for_the_last_of_them(2, &[(0, 5), (0, 1)], &[3_000, 4_000])]
    #[case::calls_as_fast_as_the_quota_never_wait(1, &[(0, 1), (1_000, 1), (2_000, 1)], &[0, 1_000, 2_000])]
    fn calls_are_ready_at_the_expected_times(
        #[case] burst: u32,
        #[case] reservations: &[(u64, u32)],
        #[case] expected: &[u64],
    ) {
        assert_eq!(ready(burst, reservations), expected);
    }

    /// Ten slots, from 11 to 20 seconds from now.
    #[rstest]
    #[case::the_first(0, 1, Some((11, 9)))]
    #[case::several_wait_for_the_last_of_them(0, 4, Some((14, 6)))]
    #[case::all(0, 10, Some((20, 0)))]
    #[case::too_few(0, 11, None)]
    #[case::past_slots_are_lost(15, 1, Some((15, 5)))]
    #[case::all_are_past(21, 1, None)]
    fn the_earliest_free_slots_are_taken_first(
        #[case] seconds_later: u64,
        #[case] calls: u32,
        #[case] expected: Option<(u64, u32)>,
    ) {
        for delay in [0, 7_000] {
            let free = FreeSlots {
                at: NOW + 20_000 - delay,
                calls: 10,
            };
            let state = Gcra { tat: 0, delay };
            let now = NOW + 1_000 * seconds_later;
            let taken = free.take(&quota(2), delay, calls, now);
            let taken = taken.map(|(slot, left)| ((state.ready_at(&slot) - NOW) / 1_000, left));
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn a_refused_call_keeps_its_place_and_later_calls_move_with_it() {
        let quota = quota(2);
        let first = Gcra::default().after(&quota, 1, NOW);
        let second = first.after(&quota, 1, NOW);
        let third = second.after(&quota, 1, NOW);
        let slots = [first, second, third].map(|gcra| gcra.last_slot(&quota));
        let until = NOW + 30_000;
        let penalized = third.penalized(&slots[0], until);
        let ready = slots.clone().map(|slot| penalized.ready_at(&slot) - NOW);
        assert_eq!(ready, [30_000, 31_000, 32_000]);
        // The second call of the burst was refused too.
        assert_eq!(penalized.penalized(&slots[1], until), penalized);
        let next = penalized.after(&quota, 1, NOW);
        assert_eq!(next.ready_at(&next.last_slot(&quota)), NOW + 33_000);
    }

    #[test]
    fn an_idle_quota_allows_no_burst_after_a_penalty() {
        let quota = quota(5);
        let mut gcra = Gcra::default().after(&quota, 1, NOW);
        let until = NOW + 5_000;
        gcra = gcra.penalized(&gcra.last_slot(&quota), until);
        for n in 1..8 {
            gcra = gcra.after(&quota, 1, NOW);
            let ready = gcra.ready_at(&gcra.last_slot(&quota));
            assert_eq!(ready, until + n * 1_000);
        }
    }

    #[rstest]
    #[case::room(10_000, true)]
    #[case::just_room(4_000, true)]
    #[case::no_room(3_999, false)]
    fn calls_fit_if_they_are_ready_by_the_given_time(#[case] latest: u64, #[case] fits: bool) {
        let quota = quota(2);
        let busy = Gcra::default().after(&quota, 4, NOW);
        let after = busy.after(&quota, 2, NOW);
        assert_eq!(after.ready_at(&after.last_slot(&quota)), NOW + 4_000);
        assert_eq!(busy.tat <= Gcra::latest_tat(&quota, 2, NOW + latest), fits);
    }

    /// Something that happens to a quota.
    #[derive(Debug, Clone)]
    enum Event {
        Reserve {
            calls: u32,
        },
        /// Slack refuses one of the reserved calls for a number of seconds.
        Refuse {
            which: usize,
            seconds: u64,
        },
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let reserve = (1..4u32).prop_map(|calls| Event::Reserve { calls });
        let refuse = (any::<usize>(), 1..60u64)
            .prop_map(|(which, seconds)| Event::Refuse { which, seconds });
        prop::collection::vec(
            (0..5_000u64, prop_oneof![9 => reserve, 1 => refuse]),
            1..200,
        )
    }

    /// A reservation: its calls, when it was made, and its slot.
    type Reservation = (u32, u64, Slot);

    /// The state at the end, and the reservations in order.
    fn after_all(quota: &Quota, events: &[(u64, Event)]) -> (Gcra, Vec<Reservation>) {
        let (mut now, mut gcra) = (NOW, Gcra::default());
        let mut reservations: Vec<Reservation> = Vec::new();
        for (later, event) in events {
            now += later;
            match event {
                Event::Reserve { calls } => {
                    gcra = gcra.after(quota, *calls, now);
                    reservations.push((*calls, now, gcra.last_slot(quota)));
                }
                Event::Refuse { which, seconds } => {
                    let Some((_, _, slot)) =
                        reservations.get(which % reservations.len().max(1)).cloned()
                    else {
                        continue;
                    };
                    let before = gcra;
                    gcra = gcra.penalized(&slot, now + seconds * 1_000);
                    // Existing reservations and future calls are delayed by the same time.
                    assert_eq!(gcra.tat - before.tat, gcra.delay - before.delay);
                }
            }
        }
        (gcra, reservations)
    }

    proptest! {
        /// The delay only stretches time, so it is enough to compare slots.
        #[test]
        fn calls_never_exceed_the_burst_and_the_rate(
            burst in 1..30u32,
            events in events(),
        ) {
            let quota = quota(burst);
            let (_, reservations) = after_all(&quota, &events);
            for (n, (_, _, first)) in reservations.iter().enumerate() {
                let mut calls = 0;
                for (count, _, last) in &reservations[n..] {
                    calls += u64::from(*count);
                    let allowed = u64::from(burst) + (last.at - first.at) / 1_000;
                    // A reservation larger than a burst is ready as a whole, when its last call is.
                    let at_once = u64::from(*count.max(&reservations[n].0));
                    prop_assert!(calls <= allowed + at_once, "{calls} of {allowed} allowed");
                }
            }
        }

        #[test]
        fn first_come_first_served(burst in 1..30u32, events in events()) {
            let (gcra, reservations) = after_all(&quota(burst), &events);
            let ready: Vec<u64> = reservations.iter().map(|(_, _, slot)| gcra.ready_at(slot)).collect();
            prop_assert!(ready.is_sorted(), "{ready:?}");
        }

        #[test]
        fn no_call_waits_for_an_idle_quota(burst in 1..30u32, events in events()) {
            let quota = quota(burst);
            let (gcra, _) = after_all(&quota, &events);
            let rested = gcra.tat.max(NOW) + 1;
            for n in 1..=burst {
                let after = gcra.after(&quota, n, rested);
                prop_assert!(after.ready_at(&after.last_slot(&quota)) <= rested);
            }
        }
    }
}

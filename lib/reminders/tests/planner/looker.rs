//! Looks at one item again and again, and remembers what it sent.

use apgl_reminders::{History, PersonZone, Plan, Rules, Stage, WaitingItem, plan};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

pub struct Looker {
    pub item: WaitingItem,
    pub rules: Rules,
    pub zone: PersonZone,
    pub history: History,
    /// In the order in which they were sent.
    pub sent: Vec<Sent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub stage: Stage,
    pub at: Timestamp,
}

impl Looker {
    pub fn new(item: WaitingItem, zone: impl Into<PersonZone>) -> Self {
        Self {
            item,
            rules: Rules::default(),
            zone: zone.into(),
            history: History::new(),
            sent: Vec::new(),
        }
    }

    pub fn plan(&self, now: Timestamp) -> Plan {
        plan(&self.item, &self.rules, &self.history, now, &self.zone)
    }

    /// Sends what is due. Returns when to look again.
    pub fn look(&mut self, now: Timestamp) -> Option<Timestamp> {
        let plan = self.plan(now);
        assert_eq!(plan, self.plan(now));
        assert!(plan.next_look_at.is_none_or(|next| next > now), "{plan:?}");
        if let Some(stage) = plan.due {
            let before = self.history.insert(stage, now);
            assert_eq!(before, None, "{stage} was sent twice");
            self.sent.push(Sent { stage, at: now });
        }
        plan.next_look_at
    }

    /// Looks when the item arrives, and then exactly when the planner says, until it says never.
    pub fn follow(&mut self) {
        const MOST_LOOKS: usize = 100;
        let mut next = Some(self.item.waiting_since);
        for _ in 0..MOST_LOOKS {
            let Some(now) = next else { return };
            next = self.look(now);
        }
        panic!("the planner never ends: {next:?}");
    }

    /// Looks when the item arrives, and then after each of these gaps.
    pub fn look_after_gaps(&mut self, gaps: impl IntoIterator<Item = SignedDuration>) {
        let mut now = self.item.waiting_since;
        self.look(now);
        for gap in gaps {
            now += gap;
            self.look(now);
        }
    }

    /// Looks when the item arrives, and then at each full hour of the person's clock.
    pub fn look_hourly(&mut self, until: Timestamp) {
        let mut now = self.item.waiting_since;
        while now <= until {
            self.look(now);
            let wall_time = self.zone.at(now).to_datetime(now);
            let past_the_hour = i64::from(wall_time.minute()) * 60 + i64::from(wall_time.second());
            now += SignedDuration::from_secs(3_600 - past_the_hour);
        }
    }

    /// For each reminder, its stage and the person's day.
    pub fn sent_days(&self) -> Vec<(Stage, Date)> {
        let day = |sent: &Sent| {
            (
                sent.stage,
                self.zone.at(sent.at).to_datetime(sent.at).date(),
            )
        };
        self.sent.iter().map(day).collect()
    }
}

pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The instant of a wall time such as `2026-11-27 17:00`.
pub fn instant(wall_time: &str, zone: &TimeZone) -> Timestamp {
    let wall_time: DateTime = wall_time.parse().unwrap();
    zone.to_timestamp(wall_time).unwrap()
}

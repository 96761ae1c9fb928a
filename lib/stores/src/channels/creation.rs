//! Claims on creating a channel.
//!
//! Two simultaneous calls of Slack's conversations.create can both succeed, with different ids. So an execution
//! claims a name before it creates the channel. The rules are pure; [`Claims::replace`] is the only write.

use std::time::{Duration, SystemTime};

use apgl_contract::StepError;

use crate::table::{epoch_millis, time_of};

/// How long a creation may take: longer than the function's own time-out, so that nobody else creates the
/// channel while this execution may still be creating it.
const LEASE: Duration = Duration::from_secs(45);
/// How long a name counts as taken after Slack has said so. It must be longer than any scan, which must begin after
/// that: a scan reads about 20 pages of 999 channels a minute.
const NAME_TAKEN_MAX_AGE: Duration = Duration::from_hours(6);
/// How long an execution that looks at the result of a scan may take to do so.
const LEARNT_WITHIN: Duration = Duration::from_secs(10);
/// How many times a claim is attempted while other executions keep changing it.
const MAX_CONFLICTS: usize = 4;

/// What is stored about the creation of a channel. Times are in whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreationClaim {
    /// The execution that creates the channel.
    pub owner: String,
    pub lease_ends_at: SystemTime,
    /// When the owner will check again, if it is waiting to call Slack.
    pub waits_until: Option<SystemTime>,
    /// When the owner's first attempt that may have created the channel began.
    pub uncertain_since: Option<SystemTime>,
    /// When Slack said that the name is taken. Then no execution creates the channel, and any may look for it.
    pub name_taken_at: Option<SystemTime>,
    /// When Slack first said so again, after a scan had not found the channel.
    pub refused_again_at: Option<SystemTime>,
}

/// The result of a claim on creating a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The caller creates the channel.
    Mine {
        claim: CreationClaim,
        /// When an earlier attempt of the same execution that may have created the channel began.
        uncertain_since: Option<SystemTime>,
    },
    /// Slack has said that the name is taken.
    NameTaken(CreationClaim),
    /// Another execution is creating the channel. If it is waiting, it checks again at this time.
    Theirs { waits_until: Option<SystemTime> },
}

/// Where claims are stored: in the table of channels, or in the memory of a simulation.
#[expect(
    async_fn_in_trait,
    reason = "a Lambda function runs on one thread, so nobody needs the futures to be Send"
)]
pub trait Claims {
    /// Writes `claim` (or deletes the stored one if `None`) if `expected` is still stored. Otherwise returns what is
    /// stored instead.
    async fn replace(
        &self,
        expected: Option<&CreationClaim>,
        claim: Option<&CreationClaim>,
    ) -> Result<Result<(), Option<CreationClaim>>, StepError>;

    /// Claims the creation for the execution `owner`. `stored` is the claim that the caller has read.
    async fn claim(
        &self,
        mut stored: Option<CreationClaim>,
        owner: &str,
        now: SystemTime,
    ) -> Result<Creation, StepError> {
        for _ in 0..MAX_CONFLICTS {
            let creation = CreationClaim::next(stored.as_ref(), owner, now);
            let Creation::Mine { claim, .. } = &creation else {
                return Ok(creation);
            };
            match self.replace(stored.as_ref(), Some(claim)).await? {
                Ok(()) => return Ok(creation),
                Err(actual) => stored = actual,
            }
        }
        Ok(Creation::Theirs { waits_until: None })
    }
}

impl CreationClaim {
    fn next(stored: Option<&Self>, owner: &str, now: SystemTime) -> Creation {
        let now = time_of(epoch_millis(now));
        let claimed = |uncertain_since: Option<SystemTime>| Creation::Mine {
            claim: Self {
                owner: owner.to_owned(),
                lease_ends_at: now + LEASE,
                waits_until: None,
                uncertain_since: uncertain_since.or(Some(now)),
                name_taken_at: None,
                refused_again_at: None,
            },
            uncertain_since,
        };
        let Some(stored) = stored else {
            return claimed(None);
        };
        let is_taken = |at| {
            let again = stored.refused_again_at;
            // Executions that wait for a scan look at it again after at most a tenth of the time that it takes.
            let has_been_learnt = |again: SystemTime| {
                let scan = again.duration_since(at).unwrap_or_default();
                now > again + scan / 10 + LEARNT_WITHIN
            };
            now < at + NAME_TAKEN_MAX_AGE && !again.is_some_and(has_been_learnt)
        };
        if stored.name_taken_at.is_some_and(is_taken) {
            return Creation::NameTaken(stored.clone());
        }
        if stored.owner == owner {
            return claimed(stored.uncertain_since);
        }
        if stored.lease_ends_at < now {
            return claimed(None);
        }
        Creation::Theirs {
            waits_until: stored.waits_until.filter(|until| *until > now),
        }
    }

    /// The claim while its owner waits until `until` to call Slack: it has not called yet, or Slack refused the call.
    #[must_use]
    pub fn waiting(&self, uncertain_since: Option<SystemTime>, until: SystemTime) -> Self {
        let until = time_of(epoch_millis(until));
        Self {
            lease_ends_at: until + LEASE,
            waits_until: Some(until),
            uncertain_since,
            ..self.clone()
        }
    }

    /// The claim after Slack has said that the name is taken. Only an earlier attempt can have created it.
    #[must_use]
    pub fn name_taken(&self, uncertain_since: Option<SystemTime>, now: SystemTime) -> Self {
        let now = time_of(epoch_millis(now));
        Self {
            lease_ends_at: now,
            waits_until: None,
            uncertain_since,
            name_taken_at: Some(now),
            refused_again_at: None,
            ..self.clone()
        }
    }

    /// The claim of the execution that tries once more to create the channel after Slack has said that the name is
    /// taken.
    #[must_use]
    pub fn claimed_again(&self, owner: &str, now: SystemTime) -> Self {
        let now = time_of(epoch_millis(now));
        let uncertain_since = self.uncertain_attempt_of(owner).unwrap_or(now);
        Self {
            owner: owner.to_owned(),
            lease_ends_at: now + LEASE,
            waits_until: None,
            uncertain_since: Some(uncertain_since),
            name_taken_at: None,
            refused_again_at: None,
        }
    }

    /// This claim, of a taken name, after a scan has not found the channel and Slack has refused the name again. The
    /// executions that waited for the scan need not repeat either.
    #[must_use]
    pub fn refused_again(&self, now: SystemTime) -> Self {
        let now = time_of(epoch_millis(now));
        Self {
            lease_ends_at: now,
            uncertain_since: None,
            refused_again_at: self.refused_again_at.or(Some(now)),
            ..self.clone()
        }
    }

    /// The claim after its owner has failed permanently. Others may create the channel. If the owner is redriven, it
    /// knows since when it may have created the channel itself.
    #[must_use]
    pub fn released(&self, uncertain_since: SystemTime, now: SystemTime) -> Self {
        Self {
            lease_ends_at: time_of(epoch_millis(now)),
            uncertain_since: Some(uncertain_since),
            ..self.clone()
        }
    }

    /// When an attempt of this execution that may have created the channel began.
    pub fn uncertain_attempt_of(&self, execution_id: &str) -> Option<SystemTime> {
        self.uncertain_since.filter(|_| self.owner == execution_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        time_of(1_000_000_000 + seconds * 1_000)
    }

    /// The result of a claim by `owner` at this time.
    fn claim(stored: Option<&CreationClaim>, owner: &str, seconds: u64) -> Creation {
        CreationClaim::next(stored, owner, at(seconds))
    }

    fn mine(creation: Creation) -> (CreationClaim, Option<SystemTime>) {
        match creation {
            Creation::Mine {
                claim,
                uncertain_since,
            } => (claim, uncertain_since),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_execution_at_a_time_creates_a_channel() {
        let (ana, _) = mine(claim(None, "ana", 0));
        let theirs = Creation::Theirs { waits_until: None };
        assert_eq!(claim(Some(&ana), "bob", 45), theirs);
        // Ana never came back.
        let (bob, uncertain_since) = mine(claim(Some(&ana), "bob", 46));
        assert_eq!((bob.owner.as_str(), uncertain_since), ("bob", None));
    }

    #[test]
    fn a_returning_owner_knows_when_its_uncertain_attempt_began() {
        let (first, _) = mine(claim(None, "ana", 0));
        let (second, uncertain_since) = mine(claim(Some(&first), "ana", 10));
        assert_eq!(uncertain_since, Some(at(0)));
        assert_eq!(second.uncertain_attempt_of("ana"), Some(at(0)));
        assert_eq!(second.uncertain_attempt_of("bob"), None);
    }

    #[test]
    fn an_owner_that_waits_to_call_slack_keeps_its_claim() {
        let (claimed, _) = mine(claim(None, "ana", 0));
        let waiting = claimed.waiting(None, at(600));
        let waits_until = Some(at(600));
        assert_eq!(
            claim(Some(&waiting), "bob", 100),
            Creation::Theirs { waits_until }
        );
        // It has not called Slack yet, so nothing is uncertain.
        assert_eq!(mine(claim(Some(&waiting), "ana", 600)).1, None);
        // If it never comes back, another execution takes over.
        let theirs = Creation::Theirs { waits_until: None };
        assert_eq!(claim(Some(&waiting), "bob", 645), theirs);
        mine(claim(Some(&waiting), "bob", 646));
    }

    #[test]
    fn a_taken_name_cannot_be_claimed_while_a_scan_may_look_for_it() {
        let (claimed, _) = mine(claim(None, "ana", 0));
        let taken = claimed.name_taken(None, at(1));
        for owner in ["ana", "bob"] {
            let creation = claim(Some(&taken), owner, 359 * 60);
            assert_eq!(creation, Creation::NameTaken(taken.clone()));
        }
        mine(claim(Some(&taken), "bob", 361 * 60));
    }
}

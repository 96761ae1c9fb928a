//! The state of the scans of Slack's lists. All executions share one scan of each list, which reads one page at a time
//! and can take several invocations.
//!
//! One item holds the state of a scan. The execution that scans has a lease. When the lease ends, the cursor stays, and the
//! next execution continues from there. To force a new scan, delete the item.

use std::time::{Duration, SystemTime};

use apgl_contract::StepError;
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue,
};

use super::Channels;
use crate::table::{Item, epoch_millis, number, text, time_of, whole_number};

/// One of Slack's lists of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// conversations.list: every channel that the bot can see.
    All,
    /// users.conversations: the channels that the bot is a member of.
    Joined,
}

impl List {
    /// Slack's method that returns the list.
    pub fn method(self) -> &'static str {
        match self {
            Self::All => "conversations.list",
            Self::Joined => "users.conversations",
        }
    }

    /// The key of the item that holds the scan's state.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::All => "#scan",
            Self::Joined => "#refresh",
        }
    }
}

/// The execution that paused the scan holds the reservations for the next pages, so it may continue first.
const OWNERS_HEAD_START: Duration = Duration::from_secs(10);
/// Slack does not say how long a cursor is valid. A scan that made no progress for this long starts again.
const CURSOR_MAX_REST: Duration = Duration::from_mins(10);

/// The last complete scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    pub began: SystemTime,
    pub ended: SystemTime,
    pub pages: u32,
}

/// A scan that the caller has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub list: List,
    pub began: SystemTime,
    /// Where the scan continues; `None` for the beginning.
    pub cursor: Option<String>,
    pub pages: u32,
    /// The last complete scan.
    pub last: Option<Scanned>,
    owner: String,
}

/// The result of a claim on the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanClaim {
    Mine(Scan),
    /// Another execution is scanning.
    Theirs {
        since: SystemTime,
    },
    /// Slack rate-limits the scan until this time.
    Paused {
        until: SystemTime,
    },
}

impl Scanned {
    /// Whether a name that this scan did not see counts as unknown to Slack. A scan is valid for one minute per page
    /// that it read, up to an hour: results that are expensive to refresh expire later.
    pub fn counts_at(&self, now: SystemTime) -> bool {
        now < self.ended + Duration::from_mins(u64::from(self.pages.clamp(1, 60)))
    }

    pub(super) fn read(item: &Item) -> Option<Self> {
        Some(Self {
            began: time_of(whole_number(item, "lastStartedAt")?),
            ended: time_of(whole_number(item, "lastEndedAt")?),
            pages: count(item, "lastPages"),
        })
    }
}

impl Channels {
    /// Begins a scan, or takes over one that nobody is running. `owner` is an execution, which can always
    /// continue its own scan.
    pub async fn claim_scan(
        &self,
        list: List,
        owner: &str,
        lease: Duration,
    ) -> Result<ScanClaim, StepError> {
        let now = SystemTime::now();
        let claim = self.update(list.key())
            .update_expression(
                "SET #owner = :owner, leaseEndsAt = :end, startedAt = if_not_exists(startedAt, :now), \
                 restedSince = if_not_exists(restedSince, :now)",
            )
            .condition_expression(
                "#owner = :owner OR (\
                 (attribute_not_exists(leaseEndsAt) OR leaseEndsAt < :now) \
                 AND (attribute_not_exists(pausedUntil) OR pausedUntil <= :now))",
            )
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner))
            .expression_attribute_values(":now", number(epoch_millis(now)))
            .expression_attribute_values(":end", number(epoch_millis(now + lease)))
            .return_values(ReturnValue::AllNew);
        let Some(claimed) = self.0.if_it_holds("UpdateItem", claim.send().await)? else {
            return self.who_scans(list, now).await;
        };
        let item = claimed.attributes.unwrap_or_default();
        let scan = Scan {
            list,
            began: whole_number(&item, "startedAt").map_or(now, time_of),
            cursor: item
                .get("cursor")
                .and_then(|cursor| cursor.as_s().ok())
                .cloned(),
            pages: count(&item, "pages"),
            last: Scanned::read(&item),
            owner: owner.to_owned(),
        };
        let rested_since = whole_number(&item, "restedSince").map_or(now, time_of);
        if rested_since + CURSOR_MAX_REST < now {
            return self.restart_scan(scan).await;
        }
        Ok(ScanClaim::Mine(scan))
    }

    async fn who_scans(&self, list: List, now: SystemTime) -> Result<ScanClaim, StepError> {
        let item = self.0.get("name", list.key()).await?.unwrap_or_default();
        let paused_until = whole_number(&item, "pausedUntil").map(time_of);
        Ok(match paused_until.filter(|until| *until > now) {
            Some(until) => ScanClaim::Paused { until },
            None => ScanClaim::Theirs {
                since: whole_number(&item, "startedAt").map_or(now, time_of),
            },
        })
    }

    /// Starts the scan again, because its cursor is no longer valid.
    pub async fn restart_scan(&self, scan: Scan) -> Result<ScanClaim, StepError> {
        let now = SystemTime::now();
        let update = self
            .at_scan(&scan)
            .update_expression("SET startedAt = :now, restedSince = :now REMOVE #cursor, pages")
            .expression_attribute_names("#cursor", "cursor")
            .expression_attribute_values(":now", number(epoch_millis(now)));
        let is_mine = self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(match is_mine {
            None => ScanClaim::Theirs { since: now },
            Some(_) => ScanClaim::Mine(Scan {
                // In whole milliseconds, as it is stored.
                began: time_of(epoch_millis(now)),
                cursor: None,
                pages: 0,
                ..scan
            }),
        })
    }

    /// Records that one more page is done, and that the scan continues at `cursor`. `None` if another execution has
    /// taken over the scan.
    pub async fn keep_page(
        &self,
        scan: Scan,
        cursor: String,
        lease: Duration,
    ) -> Result<Option<Scan>, StepError> {
        let now = SystemTime::now();
        let pages = scan.pages + 1;
        let update = self
            .at_scan(&scan)
            .update_expression(
                "SET #cursor = :cursor, pages = :pages, leaseEndsAt = :end, restedSince = :now",
            )
            .expression_attribute_names("#cursor", "cursor")
            .expression_attribute_values(":cursor", text(&cursor))
            .expression_attribute_values(":pages", number(pages.into()))
            .expression_attribute_values(":now", number(epoch_millis(now)))
            .expression_attribute_values(":end", number(epoch_millis(now + lease)));
        let is_mine = self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(is_mine.map(|_| Scan {
            cursor: Some(cursor),
            pages,
            ..scan
        }))
    }

    /// Records that the last page is done. `None` if another execution has taken over the scan.
    pub async fn complete_scan(&self, scan: &Scan) -> Result<Option<Scanned>, StepError> {
        let scanned = Scanned {
            began: scan.began,
            ended: SystemTime::now(),
            pages: scan.pages + 1,
        };
        let update = self
            .at_scan(scan)
            .update_expression(
                "SET lastStartedAt = :startedAt, lastEndedAt = :ended, lastPages = :pages \
                 REMOVE #owner, leaseEndsAt, startedAt, restedSince, #cursor, pages, pausedUntil",
            )
            .expression_attribute_names("#cursor", "cursor")
            .expression_attribute_values(":ended", number(epoch_millis(scanned.ended)))
            .expression_attribute_values(":pages", number(scanned.pages.into()));
        let is_mine = self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(is_mine.map(|_| scanned))
    }

    /// Releases the scan, so that the next execution can continue it.
    pub async fn leave_scan(&self, scan: &Scan) -> Result<(), StepError> {
        let left = if scan.pages == 0 {
            "REMOVE #owner, leaseEndsAt, startedAt, restedSince"
        } else {
            "REMOVE #owner, leaseEndsAt"
        };
        let update = self.at_scan(scan).update_expression(left);
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// Pauses the scan until `until`. After that, the owner may continue first.
    pub async fn pause_scan(&self, scan: &Scan, until: SystemTime) -> Result<(), StepError> {
        let begins_anew = if scan.pages == 0 {
            " REMOVE startedAt, restedSince"
        } else {
            ""
        };
        let update = self
            .at_scan(scan)
            .update_expression(format!(
                "SET pausedUntil = :until, leaseEndsAt = :end{begins_anew}"
            ))
            .expression_attribute_values(":until", number(epoch_millis(until)))
            .expression_attribute_values(":end", number(epoch_millis(until + OWNERS_HEAD_START)));
        self.0.if_it_holds("UpdateItem", update.send().await)?;
        Ok(())
    }

    /// An update of the scan's item that takes effect only while the caller owns the scan.
    fn at_scan(&self, scan: &Scan) -> UpdateItemFluentBuilder {
        self.update(scan.list.key())
            .condition_expression("#owner = :owner AND startedAt = :startedAt")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(&scan.owner))
            .expression_attribute_values(":startedAt", number(epoch_millis(scan.began)))
    }
}

fn count(item: &Item, field: &str) -> u32 {
    whole_number(item, field)
        .and_then(|count| count.try_into().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::small(1, 59, true)]
    #[case::small_and_old(1, 60, false)]
    #[case::large(21, 21 * 60 - 1, true)]
    #[case::huge(500, 60 * 60, false)]
    fn a_scan_counts_for_a_minute_per_page(
        #[case] pages: u32,
        #[case] seconds: u64,
        #[case] expected: bool,
    ) {
        let ended = SystemTime::now();
        let scanned = Scanned {
            began: ended,
            ended,
            pages,
        };
        assert_eq!(
            scanned.counts_at(ended + Duration::from_secs(seconds)),
            expected
        );
    }
}

//! The scans of conversations.list and users.conversations, each shared by all executions that wait for its result.
//!
//! One invocation at a time runs a scan, page by page. When Slack rate-limits it or its time runs out, it leaves
//! the cursor to the next invocation. The scan ends at an empty cursor, never at a short page.

use std::time::{Duration, SystemTime};

use apgl_contract::{Invocation, StepError};
use apgl_slack::{Conversation, Page, SlackClient, SlackError};
use apgl_stores::{Channel, List, Scan, ScanClaim, Scanned};

use crate::directory::Directory;

/// The longest time that one page takes: Slack's response, and about a thousand writes.
const TIME_FOR_A_PAGE: Duration = SlackClient::CALL_TIMEOUT.saturating_add(Duration::from_secs(8));
/// Longer than a page takes, so that nobody takes over from an invocation that is still scanning.
const LEASE: Duration = TIME_FOR_A_PAGE.saturating_mul(2);
/// The limits of the wait before another execution checks the scan again. Between them, it is a tenth of the time
/// that the scan has taken so far: then an execution's waits are enough for a scan of several hours.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How an invocation's part of the scan ended.
enum ScanEnd {
    /// The scan is complete.
    Complete(Scanned),
    /// Another invocation has taken over.
    TakenOver { since: SystemTime },
}

impl Directory {
    /// Scans the list until a scan is complete that satisfies `will_do`. Returns that scan. The caller looks for the
    /// channel `name`.
    pub(crate) async fn scan(
        &self,
        list: List,
        name: &str,
        invocation: &Invocation,
        will_do: impl Fn(&Scanned) -> bool,
    ) -> Result<Scanned, StepError> {
        let in_progress = |retry_after| StepError::ChannelScanInProgress {
            channel: name.to_owned(),
            retry_after,
        };
        let claim_scan = async || {
            let owner = &invocation.run.execution_id;
            self.channels.claim_scan(list, owner, LEASE).await
        };
        let mut claim = claim_scan().await?;
        loop {
            let scan = match claim {
                ScanClaim::Mine(scan) => scan,
                ScanClaim::Theirs { since } => return Err(in_progress(wait_for(since))),
                ScanClaim::Paused { until } => {
                    let left = until.duration_since(SystemTime::now());
                    return Err(in_progress(left.unwrap_or_default()));
                }
            };
            // Another invocation may have completed a scan between the caller's read and this claim.
            if scan.pages == 0
                && let Some(last) = scan.last.clone().filter(&will_do)
            {
                self.channels.leave_scan(&scan).await?;
                return Ok(last);
            }
            match self.continue_scan(scan, invocation).await? {
                ScanEnd::Complete(scanned) if will_do(&scanned) => return Ok(scanned),
                // This scan began too early, so another one is needed.
                ScanEnd::Complete(_) => claim = claim_scan().await?,
                ScanEnd::TakenOver { since } => return Err(in_progress(wait_for(since))),
            }
        }
    }

    /// Reads pages until the end, or until it can't continue.
    async fn continue_scan(
        &self,
        mut scan: Scan,
        invocation: &Invocation,
    ) -> Result<ScanEnd, StepError> {
        loop {
            let what = "the scan of Slack's channels";
            if let Err(unfinished) = invocation.need_time_for(TIME_FOR_A_PAGE, what) {
                self.channels.leave_scan(&scan).await?;
                return Err(unfinished);
            }
            let slack = self.slack.planning(pages_ahead(&scan));
            let asked_at = SystemTime::now();
            let cursor = scan.cursor.as_deref();
            let page = match scan.list {
                List::All => slack.conversations_list(cursor).await,
                List::Joined => slack.users_conversations(cursor).await,
            };
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if error.rejected_code() == Some("invalid_cursor") && scan.cursor.is_some() =>
                {
                    match self.channels.restart_scan(scan).await? {
                        ScanClaim::Mine(anew) => scan = anew,
                        _ => {
                            return Ok(ScanEnd::TakenOver {
                                since: SystemTime::now(),
                            });
                        }
                    }
                    continue;
                }
                Err(error) => return Err(self.leave(&scan, error).await?),
            };
            let (since, method) = (scan.began, scan.list.method());
            let channels = match self.channels_of(&page, asked_at).await {
                Ok(channels) => channels,
                Err(error) => {
                    self.channels.leave_scan(&scan).await?;
                    return Err(error);
                }
            };
            match self.keep(scan, &channels, page.next_cursor).await? {
                Kept::Page(next) => scan = next,
                Kept::End(scanned) => {
                    tracing::info!(
                        slack.method = method,
                        slack.pages = scanned.pages,
                        "scanned Slack's channels"
                    );
                    return Ok(ScanEnd::Complete(scanned));
                }
                Kept::Lost => return Ok(ScanEnd::TakenOver { since }),
            }
        }
    }

    async fn channels_of(
        &self,
        page: &Page<Conversation>,
        asked_at: SystemTime,
    ) -> Result<Vec<Channel>, StepError> {
        let mut channels = Vec::with_capacity(page.items.len());
        for conversation in &page.items {
            channels.push(self.channel_of(conversation, asked_at).await?);
        }
        Ok(channels)
    }

    async fn keep(
        &self,
        scan: Scan,
        channels: &[Channel],
        next_cursor: Option<String>,
    ) -> Result<Kept, StepError> {
        match scan.list {
            List::All => self.channels.remember_changes(channels).await?,
            // Each is to be trusted again.
            List::Joined => self.channels.remember_all(channels).await?,
        }
        Ok(match next_cursor {
            Some(cursor) => self
                .channels
                .keep_page(scan, cursor, LEASE)
                .await?
                .map_or(Kept::Lost, Kept::Page),
            None => self
                .channels
                .complete_scan(&scan)
                .await?
                .map_or(Kept::Lost, Kept::End),
        })
    }

    /// Leaves the scan to the next invocation, and returns the step's error.
    async fn leave(&self, scan: &Scan, error: SlackError) -> Result<StepError, StepError> {
        match &error {
            SlackError::RateLimited { retry_after, .. } => {
                let until = SystemTime::now() + *retry_after;
                self.channels.pause_scan(scan, until).await?;
            }
            _ => self.channels.leave_scan(scan).await?,
        }
        Ok(error.into())
    }
}

/// The result of storing a page.
enum Kept {
    Page(Scan),
    End(Scanned),
    /// Another invocation has taken over the scan.
    Lost,
}

/// How many pages remain, if there are as many as in the last scan.
fn pages_ahead(scan: &Scan) -> usize {
    let last = scan.last.as_ref().map_or(0, |last| last.pages);
    last.saturating_sub(scan.pages)
        .try_into()
        .unwrap_or(usize::MAX)
}

fn wait_for(scan_began: SystemTime) -> Duration {
    let taken = SystemTime::now()
        .duration_since(scan_began)
        .unwrap_or_default();
    (taken / 10).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 2)]
    #[case(100, 10)]
    #[case(1_000, 100)]
    #[case(36_000, 300)]
    fn others_wait_longer_the_longer_the_scan_takes(#[case] taken: u64, #[case] wait: u64) {
        let began = SystemTime::now() - Duration::from_secs(taken);
        assert_eq!(wait_for(began).as_secs(), wait);
    }
}

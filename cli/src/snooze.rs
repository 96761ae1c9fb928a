//! `apgl snooze`: has nobody reminded of an item for some time.

use apgl_contract::{ItemId, StepError};
use apgl_reminders::Waiting;
use apgl_stores::{Items, Planner, UtcHour, despite_conflicts};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    deployment::{Deployment, Target},
    report::{Exit, Failure, Report},
    time::shown,
    values::{day_or_time, item_id},
};

const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// An hour is swept up to this long before it begins. What is written into an earlier hour from then on may be missed.
const SWEPT_BEFORE: SignedDuration = SignedDuration::from_mins(15);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The item's id.
    #[arg(value_parser = item_id)]
    item: ItemId,
    #[command(flatten)]
    end: End,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
struct End {
    /// Nobody is reminded of the item until then: a date, which means 09:00 UTC of that day, or a time such as
    /// 2026-11-25T10:00:00Z. At most a year ahead.
    #[arg(long, value_name = "WHEN", value_parser = day_or_time)]
    until: Option<Timestamp>,
    /// Ends the snooze now.
    #[arg(long)]
    off: bool,
}

pub async fn run(target: &Target, arguments: &Arguments) -> Result<Report, Failure> {
    let planner = Deployment::of(target).await?.planner().await?;
    snooze(&planner, &arguments.item, arguments.end.until).await
}

/// Without an end, it ends an earlier snooze.
async fn snooze(
    planner: &Planner,
    id: &ItemId,
    until: Option<Timestamp>,
) -> Result<Report, Failure> {
    let items = &planner.items;
    let now = planner.now().await.map_err(Failure::aws)?;
    if let Some(until) = until {
        check(until, now)?;
    }
    if items.latest(id).await.map_err(Failure::aws)?.is_none() {
        return Err(Failure::input(format!(
            "there is no item `{id}`; `apgl items --all` shows the existing ones"
        )));
    }
    let text = match until {
        Some(until) => {
            items.snooze(id, until).await.map_err(Failure::aws)?;
            format!("{id}: nobody is reminded until {}", shown(until))
        }
        None if items.end_snooze(id).await.map_err(Failure::aws)? => {
            format!("{id}: no longer snoozed")
        }
        None => format!("{id}: was not snoozed"),
    };
    look_soon(items, id, now).await.map_err(|error| {
        Failure::aws(format!(
            "the change is stored, but when to look at the item is not: run the command again ({error})"
        ))
    })?;
    Ok(Report {
        text,
        json: json!({ "item": id, "snoozedUntil": until }),
        exit: Exit::Fine,
    })
}

fn check(until: Timestamp, now: Timestamp) -> Result<(), Failure> {
    let rule = if until <= now {
        "must be in the future"
    } else if until.duration_since(now) > LONGEST {
        "must be at most a year ahead"
    } else {
        return Ok(());
    };
    Err(Failure::input(format!(
        "--until {until}: {rule}; it is {} now",
        shown(now)
    )))
}

/// Has the next sweep look at the rows of the item.
async fn look_soon(items: &Items, id: &ItemId, now: Timestamp) -> Result<(), StepError> {
    let at = next_swept(now);
    despite_conflicts(async || {
        let mut is_kept = true;
        for stored in items.waiting(id).await? {
            if stored.waiting.next_look_at == Some(at) {
                continue;
            }
            let waiting = Waiting {
                next_look_at: Some(at),
                ..stored.waiting
            };
            is_kept &= items.keep(id, &waiting, Some(stored.revision)).await?;
        }
        if let Some(mut row) = items.escalating(id).await?
            && row.escalated_at.is_none()
            && row.next_look_at != Some(at)
        {
            row.next_look_at = Some(at);
            is_kept &= items.keep_escalating(id, &row).await?;
        }
        Ok(is_kept.then_some(()))
    })
    .await
}

/// Now, or the beginning of the next hour if this one may have been swept for the last time.
fn next_swept(now: Timestamp) -> Timestamp {
    now.max(UtcHour::of(now + SWEPT_BEFORE).start())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::reminding::{Reminding, item, plain};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    async fn until(
        reminding: &Reminding,
        id: &str,
        until: Option<&str>,
    ) -> Result<Report, Failure> {
        let id = item_id(id).unwrap();
        snooze(&reminding.planner, &id, until.map(time)).await
    }

    #[tokio::test]
    async fn an_item_is_snoozed_and_its_rows_are_looked_at_soon() {
        let reminding = Reminding::new().await;
        let guide = item("guide", Some("2026-12-04"), &["ana", "bob"]);
        reminding.waits(&guide, "UTC").await;
        let report = until(&reminding, "guide", Some("2026-12-03T09:00:00Z"))
            .await
            .unwrap();
        let expected = "guide: nobody is reminded until 2026-12-03 09:00:00 UTC";
        assert_eq!(plain(&report), expected);
        let expected = json!({ "item": "guide", "snoozedUntil": "2026-12-03T09:00:00Z" });
        assert_eq!(report.json, expected);
        for person in ["ana", "bob"] {
            let row = reminding.waiting_row(&guide, person).await;
            assert_eq!(row.snoozed_until, Some(time("2026-12-03T09:00:00Z")));
            let look_at = row.stored.waiting.next_look_at;
            assert_eq!(look_at, Some(time("2026-12-01T08:00:00Z")));
            // The first stage would have been due on 1 December.
            let plan = reminding.planner.plan(&row, time("2026-12-01T08:50:00Z"));
            let next = plan.unwrap().next_look_at;
            assert_eq!(next, Some(time("2026-12-03T09:00:00Z")));
        }
        let keys = reminding
            .planner
            .items
            .in_hour(UtcHour::of(time("2026-12-01T08:00:00Z")));
        assert_eq!(keys.await.unwrap().waiting.len(), 2);
    }

    #[tokio::test]
    async fn a_snooze_can_end_early_and_ending_it_again_does_no_harm() {
        let reminding = Reminding::new().await;
        let guide = item("guide", Some("2026-12-04"), &["ana"]);
        reminding.waits(&guide, "UTC").await;
        until(&reminding, "guide", Some("2026-12-03T09:00:00Z"))
            .await
            .unwrap();
        reminding.it_is("2026-12-01T17:00:00Z").await;
        for expected in ["guide: no longer snoozed", "guide: was not snoozed"] {
            let report = until(&reminding, "guide", None).await.unwrap();
            assert_eq!(plain(&report), expected);
            assert_eq!(
                report.json,
                json!({ "item": "guide", "snoozedUntil": null })
            );
        }
        let row = reminding.waiting_row(&guide, "ana").await;
        assert_eq!(row.snoozed_until, None);
        let look_at = row.stored.waiting.next_look_at;
        assert_eq!(look_at, Some(time("2026-12-01T17:00:00Z")));
    }

    #[tokio::test]
    async fn several_may_snooze_an_item_at_once() {
        let reminding = Reminding::new().await;
        let guide = item("guide", None, &["ana", "bob"]);
        reminding.waits(&guide, "UTC").await;
        let snoozes = ["2026-12-03T09:00:00Z", "2026-12-04T09:00:00Z"];
        let both = snoozes.map(|end| until(&reminding, "guide", Some(end)));
        for snoozed in futures_util::future::join_all(both).await {
            snoozed.unwrap();
        }
    }

    #[rstest]
    #[case::unknown(
        "other",
        "2026-12-03T09:00:00Z",
        "there is no item `other`; `apgl items --all` shows the existing ones"
    )]
    #[case::now(
        "guide",
        "2026-12-01T08:00:00Z",
        "--until 2026-12-01T08:00:00Z: must be in the future; it is 2026-12-01 08:00:00 UTC now"
    )]
    #[case::too_far(
        "guide",
        "2027-12-02T08:00:01Z",
        "--until 2027-12-02T08:00:01Z: must be at most a year ahead; it is 2026-12-01 08:00:00 UTC now"
    )]
    #[tokio::test]
    async fn bad_input_has_no_effect(#[case] id: &str, #[case] end: &str, #[case] expected: &str) {
        let reminding = Reminding::new().await;
        let guide = item("guide", Some("2026-12-04"), &["ana"]);
        reminding.waits(&guide, "UTC").await;
        let before = reminding.planner.items.all().await.unwrap();
        let failure = until(&reminding, id, Some(end)).await.unwrap_err();
        assert_eq!(failure, Failure::input(expected));
        assert_eq!(reminding.planner.items.all().await.unwrap(), before);
    }

    #[tokio::test]
    async fn ending_the_snooze_of_an_unknown_item_is_an_error() {
        let reminding = Reminding::new().await;
        let failure = until(&reminding, "other", None).await.unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
    }

    #[rstest]
    #[case::before_it_was_swept("2026-12-01T08:44:59Z", "2026-12-01T08:44:59Z")]
    #[case::after_it_was_swept("2026-12-01T08:55:00Z", "2026-12-01T09:00:00Z")]
    fn a_row_is_written_into_an_hour_that_is_still_swept(
        #[case] now: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(next_swept(time(now)), time(expected));
    }
}

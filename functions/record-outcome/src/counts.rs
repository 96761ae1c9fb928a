//! The metrics of an execution that has ended: pure rules.

use std::time::Duration;

use apgl_contract::{
    ErrorName, Origin, Skipped,
    outcome::{MessageOutcome, Outcome},
};
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

/// How long after its end a failure can still be the current release's. A status change that waits longer in its
/// queue rings an alarm of its own.
const RECENT: Duration = Duration::from_mins(15);

/// The dimension that says why something was not done.
const REASON: &str = "Reason";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    metric: &'static str,
    value: usize,
    dimension: Option<(&'static str, String)>,
}

/// The metrics of an execution that ended in this other status, so long ago: one failure, by its error, and one of the
/// system if neither the request nor people in Slack have caused it. A release is taken back for the latter only, so
/// it leaves out what ended long ago: an operator has moved a dead letter back to the queue.
pub(crate) fn failure(status: &str, error: Option<&str>, ago: Duration) -> Vec<Count> {
    let error = error.unwrap_or(status);
    let origin = ErrorName::from_name(error).map_or(Origin::System, ErrorName::origin);
    let is_the_systems = status == "FAILED" && origin == Origin::System && ago <= RECENT;
    let of_the_system = Count {
        metric: "SystemFailures",
        value: 1,
        dimension: None,
    };

    // CloudWatch takes visible ASCII only, and whoever stops an execution may name any error.
    let is_visible = !error.is_empty() && error.bytes().all(|byte| byte.is_ascii_graphic());
    let error = if is_visible { error } else { "other" };
    let failed = Count {
        metric: "WorkflowsFailed",
        value: 1,
        dimension: Some(("Error", error.to_owned())),
    };
    let of_the_system = is_the_systems.then_some(of_the_system);
    [failed].into_iter().chain(of_the_system).collect()
}

/// The metrics of a successful execution: what it did.
pub(crate) fn successes(outcome: &Outcome) -> Vec<Count> {
    let count = |metric, value| Count {
        metric,
        value,
        dimension: None,
    };
    let created = outcome
        .channel
        .as_ref()
        .is_some_and(|channel| channel.created);
    let mut counts = vec![
        count("ChannelsCreated", usize::from(created)),
        count(
            "ChannelsDeleted",
            usize::from(outcome.deleted == Some(true)),
        ),
    ];
    for message in [&outcome.message, &outcome.channel_message] {
        match message {
            Some(MessageOutcome::Posted(_)) => counts.push(count("NotificationsSent", 1)),
            Some(MessageOutcome::NotPosted(why)) => counts.push(Count {
                metric: "NotificationsNotSent",
                value: 1,
                dimension: Some((REASON, why.as_str().to_owned())),
            }),
            _ => {}
        }
    }
    counts.push(count("ItemsReminded", outcome.reminded.len()));
    counts.push(count(
        "ItemsEscalated",
        usize::from(outcome.escalated == Some(true)),
    ));
    for seconds in &outcome.moved_after_seconds {
        counts.push(Count {
            metric: "ToldToMoved",
            value: usize::try_from(*seconds).unwrap_or(usize::MAX),
            dimension: None,
        });
    }
    let mut skipped: Vec<&Skipped> = outcome.skipped.iter().collect();
    if let Some(members) = &outcome.members {
        counts.push(count("MembersInvited", members.invited.len()));
        counts.push(count("MembersRemoved", members.removed.len()));
        skipped.extend(&members.skipped);
    }
    counts.extend(by_reason("MembersSkipped", &skipped));
    counts.retain(|count| count.value > 0);
    counts
}

/// Counts these people by the reason.
fn by_reason(metric: &'static str, skipped: &[&Skipped]) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for one in skipped {
        let dimension = Some((REASON, one.reason.as_str().to_owned()));
        match counts.iter_mut().find(|count| count.dimension == dimension) {
            Some(count) => count.value += 1,
            None => counts.push(Count {
                metric,
                value: 1,
                dimension,
            }),
        }
    }
    counts
}

impl Count {
    pub(crate) fn datum(&self, workflow: &str) -> MetricDatum {
        let dimension =
            |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let own = self.dimension.as_ref();
        let own = own.map(|(name, value)| dimension(name, value));
        let dimensions = std::iter::once(dimension("Workflow", workflow)).chain(own);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a request names at most 1,000 people"
        )]
        let value = self.value as f64;
        MetricDatum::builder()
            .metric_name(self.metric)
            .value(value)
            .unit(match self.metric {
                "ToldToMoved" => StandardUnit::Seconds,
                _ => StandardUnit::Count,
            })
            .set_dimensions(Some(dimensions.collect()))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn count(metric: &'static str, value: usize) -> Count {
        Count {
            metric,
            value,
            dimension: None,
        }
    }

    fn count_by(metric: &'static str, value: usize, name: &'static str, of: &str) -> Count {
        Count {
            metric,
            value,
            dimension: Some((name, of.to_owned())),
        }
    }

    #[test]
    fn an_outcome_is_counted_by_part_and_reason() {
        let outcome = json!({
            "channel": {
                "id": "C1", "name": "x", "visibility": "private", "archived": false, "created": true,
            },
            "deleted": true,
            "members": {
                "invited": ["a@x.org"], "removed": ["f@x.org", "g@x.org"], "alreadyMembers": ["b@x.org"],
                "skipped": [
                    { "email": "c@x.org", "reason": "opted_out" },
                    { "email": "d@x.org", "reason": "no_profile" },
                    { "email": "e@x.org", "reason": "opted_out" },
                ],
            },
            "message": { "ts": "1.0", "duplicate": false },
        });
        assert_eq!(
            successes(&serde_json::from_value(outcome).unwrap()),
            [
                count("ChannelsCreated", 1),
                count("ChannelsDeleted", 1),
                count("NotificationsSent", 1),
                count("MembersInvited", 1),
                count("MembersRemoved", 2),
                count_by("MembersSkipped", 2, "Reason", "opted_out"),
                count_by("MembersSkipped", 1, "Reason", "no_profile"),
            ]
        );
    }

    #[rstest]
    #[case(json!({ "expired": true }), "expired")]
    #[case(json!({ "superseded": true }), "superseded")]
    fn a_message_that_is_not_in_slack_is_counted_as_not_sent_by_its_reason(
        #[case] message: Value,
        #[case] reason: &str,
    ) {
        let outcome = json!({ "message": message, "skipped": [] });
        assert_eq!(
            successes(&serde_json::from_value(outcome).unwrap()),
            [count_by("NotificationsNotSent", 1, "Reason", reason)]
        );
    }

    #[test]
    fn the_skipped_person_of_a_direct_message_is_counted() {
        let outcome = json!({ "skipped": [{ "email": "a@x.org", "reason": "opted_out" }] });
        assert_eq!(
            successes(&serde_json::from_value(outcome).unwrap()),
            [count_by("MembersSkipped", 1, "Reason", "opted_out")]
        );
    }

    #[test]
    fn reminders_and_escalations_are_counted_by_items() {
        let of = json!({ "itemId": "x", "version": 1, "stage": "due" });
        let message = json!({ "ts": "1.0", "duplicate": false });
        let reminded = json!({ "reminded": [of, of], "message": message, "skipped": [] });
        assert_eq!(
            successes(&serde_json::from_value(reminded).unwrap()),
            [count("NotificationsSent", 1), count("ItemsReminded", 2)]
        );
        let escalated = json!({
            "escalated": true, "message": message, "channelMessage": message, "skipped": [],
        });
        assert_eq!(
            successes(&serde_json::from_value(escalated).unwrap()),
            [
                count("NotificationsSent", 1),
                count("NotificationsSent", 1),
                count("ItemsEscalated", 1)
            ]
        );
    }

    #[test]
    fn each_time_from_a_reminder_to_the_move_is_a_value_of_its_own() {
        let moved = json!({ "movedAfterSeconds": [60, 3600] });
        let counts = successes(&serde_json::from_value(moved).unwrap());
        assert_eq!(
            counts,
            [count("ToldToMoved", 60), count("ToldToMoved", 3600)]
        );
        let datum = counts[0].datum("apgl-update-item");
        assert_eq!(datum.unit(), Some(&StandardUnit::Seconds));
    }

    #[test]
    fn an_effect_that_did_not_happen_is_not_counted() {
        let outcome = json!({ "exists": false, "deleted": false });
        let outcome: Outcome = serde_json::from_value(outcome).unwrap();
        assert_eq!(successes(&outcome), []);
    }

    #[test]
    fn a_failure_is_counted_by_its_error() {
        let expected = |error| [count_by("WorkflowsFailed", 1, "Error", error)];
        assert_eq!(
            failure("TIMED_OUT", None, Duration::ZERO),
            expected("TIMED_OUT")
        );
        for unusable in ["", "not a name", "été"] {
            assert_eq!(
                failure("ABORTED", Some(unusable), Duration::ZERO),
                expected("other")
            );
        }
    }

    #[rstest]
    #[case::a_request("FAILED", "InvalidRequest", false)]
    #[case::people_in_slack("FAILED", "Channel.NotFound", false)]
    #[case::a_workspaces_setting("FAILED", "Slack.Rejected", false)]
    #[case::the_token("FAILED", "Slack.Unauthorized", true)]
    #[case::a_crash("FAILED", "Runtime.ExitError", true)]
    #[case::the_definition("FAILED", "States.QueryEvaluationError", true)]
    #[case::somebody_stopped_it("ABORTED", "Step.Bug", false)]
    fn a_failure_of_the_system_is_counted_apart(
        #[case] status: &str,
        #[case] error: &str,
        #[case] is_the_systems: bool,
    ) {
        let counts = failure(status, Some(error), Duration::ZERO);
        let counted = counts.contains(&count("SystemFailures", 1));
        assert_eq!(counted, is_the_systems);
    }
}

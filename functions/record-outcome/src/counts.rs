//! The metrics of an execution that has ended: pure rules.

use apgl_contract::outcome::Outcome;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    metric: &'static str,
    value: usize,
    dimension: Option<(&'static str, String)>,
}

/// The metrics of a failed execution: one failure, by its error.
pub(crate) fn failure(error: &str) -> Vec<Count> {
    // CloudWatch takes visible ASCII only, and whoever stops an execution may name any error.
    let is_visible = !error.is_empty() && error.bytes().all(|byte| byte.is_ascii_graphic());
    let error = if is_visible { error } else { "other" };
    vec![Count {
        metric: "WorkflowsFailed",
        value: 1,
        dimension: Some(("Error", error.to_owned())),
    }]
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
        count("NotificationsSent", usize::from(outcome.message.is_some())),
    ];
    if let Some(members) = &outcome.members {
        counts.push(count("MembersInvited", members.invited.len()));
        counts.push(count("MembersRemoved", members.removed.len()));
        for skipped in &members.skipped {
            let reason = Some(("Reason", skipped.reason.as_str().to_owned()));
            match counts.iter_mut().find(|count| count.dimension == reason) {
                Some(count) => count.value += 1,
                None => counts.push(Count {
                    metric: "MembersSkipped",
                    value: 1,
                    dimension: reason,
                }),
            }
        }
    }
    counts.retain(|count| count.value > 0);
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
            .unit(StandardUnit::Count)
            .set_dimensions(Some(dimensions.collect()))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn an_effect_that_did_not_happen_is_not_counted() {
        let outcome = json!({ "exists": false, "deleted": false });
        let outcome: Outcome = serde_json::from_value(outcome).unwrap();
        assert_eq!(successes(&outcome), []);
    }

    #[test]
    fn a_failure_is_counted_by_its_error() {
        let expected = |error| [count_by("WorkflowsFailed", 1, "Error", error)];
        assert_eq!(failure("TIMED_OUT"), expected("TIMED_OUT"));
        for unusable in ["", "not a name", "été"] {
            assert_eq!(failure(unusable), expected("other"));
        }
    }
}

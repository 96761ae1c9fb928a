//! What there is to count: pure rules, from a workflow's end to metrics.

use apgl_contract::{ErrorName, Kind};

use crate::Input;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub metric: &'static str,
    pub value: usize,
    pub dimension: Option<(&'static str, String)>,
}

pub(crate) fn counts(input: &Input) -> Vec<Count> {
    let outcome = match input {
        Input::Outcome(outcome) => outcome,
        Input::Ended(error) if is_final(error) => return Vec::new(),
        Input::Ended(error) | Input::FinalError(error) => return vec![failed(error)],
    };
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

fn failed(error: &str) -> Count {
    let dimension = Some(("Error", error.to_owned()));
    Count {
        metric: "WorkflowsFailed",
        value: 1,
        dimension,
    }
}

fn is_final(error: &str) -> bool {
    ErrorName::ALL
        .iter()
        .any(|name| name.as_str() == error && name.kind() == Kind::Final)
}

#[cfg(test)]
mod tests {
    use apgl_contract::{Step, outcome::Outcome};
    use serde_json::{Value, json};

    use super::*;
    use crate::read;

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

    fn event(status: &str, error: Option<&str>) -> Value {
        json!({
            "detail-type": "Step Functions Execution Status Change",
            "detail": {
                "executionArn": "arn:aws:states:us-east-1:1:execution:apgl-x:e",
                "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:apgl-x",
                "status": status,
                "error": error,
                "input": "never read",
            },
        })
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
        let input = Input::Outcome(serde_json::from_value(outcome).unwrap());
        assert_eq!(
            counts(&input),
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
    fn what_did_not_happen_is_not_counted() {
        let outcome = json!({ "exists": false, "deleted": false });
        let outcome: Outcome = serde_json::from_value(outcome).unwrap();
        assert_eq!(counts(&Input::Outcome(outcome)), []);
    }

    #[test]
    fn a_failure_is_counted_once_by_the_workflow_or_by_its_event() {
        let by_branch = Input::FinalError("Channel.NotFound".to_owned());
        assert_eq!(
            counts(&by_branch),
            [count_by("WorkflowsFailed", 1, "Error", "Channel.NotFound")]
        );
        let its_event = read(event("FAILED", Some("Channel.NotFound"))).unwrap();
        assert_eq!(counts(&its_event.input), []);
        let mendable = read(event("FAILED", Some("Slack.Unauthorized"))).unwrap();
        assert_eq!(
            counts(&mendable.input),
            [count_by(
                "WorkflowsFailed",
                1,
                "Error",
                "Slack.Unauthorized"
            )]
        );
    }

    #[test]
    fn an_event_without_an_error_is_counted_by_its_status() {
        let Step { run, input } = read(event("TIMED_OUT", None)).unwrap();
        assert_eq!(run.workflow, "apgl-x");
        assert_eq!(
            counts(&input),
            [count_by("WorkflowsFailed", 1, "Error", "TIMED_OUT")]
        );
    }

    #[test]
    fn a_workflows_payload_is_a_step() {
        let payload = json!({
            "run": { "executionId": "e", "workflow": "w" },
            "input": { "finalError": "InvalidRequest" },
        });
        assert_eq!(
            read(payload).unwrap().input,
            Input::FinalError("InvalidRequest".to_owned())
        );
    }
}

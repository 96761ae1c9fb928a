//! What an execution did, from its history; used when its event has no outcome.

use std::collections::HashMap;

use apgl_contract::{decode::parse, request::Operation};
use aws_sdk_sfn::{
    Client, error::SdkError, operation::get_execution_history::GetExecutionHistoryError,
    types::HistoryEvent,
};
use serde_json::{Value, json};

/// Events contain inputs and outputs, so a page takes memory.
const PAGE: i32 = 200;

/// The states that find the channel.
const FINDING: [&str; 2] = ["FindChannel", "EnsureChannel"];
/// The states whose results are about the channel that was found.
const IN_CHANNEL: [&str; 4] = [
    "InviteMembers",
    "RemoveMembers",
    "PostMessage",
    "UpdateCard",
];

/// The input of an execution, and the results of its steps.
#[derive(Debug, Default, PartialEq)]
pub struct History {
    pub input: Option<String>,
    /// The execution's own output, if it succeeded.
    pub output: Option<String>,
    /// The last result of each state that succeeded, without those about a channel that was replaced.
    pub results: HashMap<String, Value>,
}

impl History {
    /// Reads the whole history.
    pub async fn of(
        sfn: &Client,
        execution_id: &str,
    ) -> Result<Self, SdkError<GetExecutionHistoryError>> {
        let history = sfn.get_execution_history().execution_arn(execution_id);
        let mut pages = history.max_results(PAGE).into_paginator().items().send();
        let (mut history, mut state) = (Self::default(), String::new());
        while let Some(event) = pages.next().await {
            match event {
                Ok(event) => history.add(&event, &mut state),
                // Step Functions has forgotten it: there is nothing more to tell.
                Err(error) if is_forgotten(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(history)
    }

    fn add(&mut self, event: &HistoryEvent, state: &mut String) {
        if let Some(started) = &event.execution_started_event_details {
            self.input.clone_from(&started.input);
        } else if let Some(succeeded) = &event.execution_succeeded_event_details {
            self.output.clone_from(&succeeded.output);
        } else if let Some(entered) = &event.state_entered_event_details {
            state.clone_from(&entered.name);
        } else if let Some(succeeded) = &event.task_succeeded_event_details {
            let result = succeeded.output.as_deref().unwrap_or_default();
            let result: Value = parse(result.as_bytes()).unwrap_or_default();
            let result = result["Payload"].clone();
            if FINDING.contains(&state.as_str())
                && self.result(state, "channel")["id"] != result["channel"]["id"]
            {
                // People have replaced the channel: what was done in the former one is not the outcome in this one.
                self.results
                    .retain(|state, _| !IN_CHANNEL.contains(&state.as_str()));
            }
            self.results.insert(state.clone(), result);
        }
    }

    /// The outcome, as far as it is known from the steps that succeeded.
    pub fn partial_outcome(&self, operation: Option<Operation>) -> Value {
        let mut outcome = json!({});
        for state in ["FindChannel", "EnsureChannel", "ArchiveChannel"] {
            let channel = self.result(state, "channel");
            if channel.is_object() {
                outcome["channel"] = channel.clone();
            }
        }
        if self.results.contains_key("ArchiveChannel") {
            outcome["deleted"] = json!(true);
        }
        let mut members = self.members();
        let skipped = self.skipped();
        if !skipped.is_empty() {
            match operation {
                Some(
                    Operation::NotifyPerson
                    | Operation::UpdateItem
                    | Operation::Remind
                    | Operation::Escalate,
                ) => {
                    outcome["skipped"] = json!(skipped);
                }
                // Its outcome reports them as not mentioned, once there is a message.
                Some(Operation::NotifyPublicChannel) => {}
                _ => members["skipped"] = json!(skipped),
            }
        }
        if members != json!({}) {
            outcome["members"] = members;
        }
        if let Some(message) = self.results.get("PostMessage") {
            outcome["message"] = message.clone();
        }
        for (state, field) in [("RecordItem", "item"), ("UpdateCard", "card")] {
            let result = self.result(state, field);
            if result.is_object() {
                outcome[field] = result.clone();
            }
        }
        outcome
    }

    fn members(&self) -> Value {
        let mut members = json!({});
        for (state, field) in [
            ("InviteMembers", "invited"),
            ("InviteMembers", "alreadyMembers"),
            ("RemoveMembers", "removed"),
        ] {
            let people = self.result(state, field);
            if people.is_array() {
                members[field] = people.clone();
            }
        }
        members
    }

    /// The people whom a step has skipped.
    fn skipped(&self) -> Vec<&Value> {
        let steps = [
            "CheckRequest",
            "FilterByPreference",
            "ResolveUsers",
            "OpenConversation",
            "InviteMembers",
            "RemoveMembers",
        ];
        let skipped = steps.map(|state| self.result(state, "skipped").as_array());
        skipped.into_iter().flatten().flatten().collect()
    }

    fn result(&self, state: &str, field: &str) -> &Value {
        let result = self.results.get(state);
        result.map_or(&Value::Null, |result| &result[field])
    }
}

fn is_forgotten(error: &SdkError<GetExecutionHistoryError>) -> bool {
    let error = error.as_service_error();
    error.is_some_and(GetExecutionHistoryError::is_execution_does_not_exist)
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::{
        primitives::DateTime,
        types::{
            HistoryEventType, StateEnteredEventDetails, TaskSucceededEventDetails,
            builders::HistoryEventBuilder,
        },
    };

    use rstest::rstest;

    use super::*;

    fn event(kind: HistoryEventType) -> HistoryEventBuilder {
        let at = DateTime::from_secs(1);
        HistoryEvent::builder().id(1).timestamp(at).r#type(kind)
    }

    /// The history of an execution whose states returned these payloads.
    fn history(results: &[(&str, Value)]) -> History {
        let (mut history, mut entered) = (History::default(), String::new());
        for (state, payload) in results {
            let details = StateEnteredEventDetails::builder().name(*state).build();
            let enter = event(HistoryEventType::TaskStateEntered);
            let enter = enter.state_entered_event_details(details.unwrap());
            let result = json!({ "StatusCode": 200, "Payload": payload }).to_string();
            let details = TaskSucceededEventDetails::builder()
                .resource_type("lambda")
                .resource("invoke")
                .output(result)
                .build();
            let succeed = event(HistoryEventType::TaskSucceeded);
            let succeed = succeed.task_succeeded_event_details(details.unwrap());
            for event in [enter.build().unwrap(), succeed.build().unwrap()] {
                history.add(&event, &mut entered);
            }
        }
        history
    }

    #[test]
    fn an_outcome_is_assembled_from_the_successful_steps() {
        let channel = json!({ "id": "C1", "name": "x" });
        let history = history(&[
            (
                "CheckRequest",
                json!({
                    "channelName": "x", "message": "secret",
                    "skipped": [{ "email": "svc", "reason": "invalid_address" }],
                }),
            ),
            (
                "FilterByPreference",
                json!({ "wanted": ["a@x.org"], "skipped": [{ "email": "b@x.org", "reason": "opted_out" }] }),
            ),
            (
                "ResolveUsers",
                json!({ "users": [], "leaving": [], "skipped": [{ "email": "a@x.org", "reason": "not_in_slack" }] }),
            ),
            ("EnsureChannel", json!({ "channel": channel })),
            (
                "InviteMembers",
                json!({ "invited": [], "alreadyMembers": [], "skipped": [] }),
            ),
        ]);
        let expected = json!({
            "channel": channel,
            "members": {
                "invited": [], "alreadyMembers": [],
                "skipped": [
                    { "email": "svc", "reason": "invalid_address" },
                    { "email": "b@x.org", "reason": "opted_out" },
                    { "email": "a@x.org", "reason": "not_in_slack" },
                ],
            },
        });
        assert_eq!(history.partial_outcome(None), expected);
    }

    #[rstest]
    #[case::a_person(
        Operation::NotifyPerson,
        json!({ "skipped": [
            { "email": "a@x.org", "reason": "opted_out" }, { "email": "b@x.org", "reason": "cannot_message" },
        ] }),
    )]
    #[case::a_reminder(
        Operation::Remind,
        json!({ "skipped": [
            { "email": "a@x.org", "reason": "opted_out" }, { "email": "b@x.org", "reason": "cannot_message" },
        ] }),
    )]
    #[case::a_public_channel(Operation::NotifyPublicChannel, json!({}))]
    #[case::a_private_channel(
        Operation::NotifyPrivateChannel,
        json!({ "members": { "skipped": [
            { "email": "a@x.org", "reason": "opted_out" }, { "email": "b@x.org", "reason": "cannot_message" },
        ] } }),
    )]
    fn skipped_people_are_where_the_workflows_outcome_has_them(
        #[case] operation: Operation,
        #[case] expected: Value,
    ) {
        let history = history(&[
            (
                "FilterByPreference",
                json!({ "wanted": [], "skipped": [{ "email": "a@x.org", "reason": "opted_out" }] }),
            ),
            (
                "OpenConversation",
                json!({ "conversation": null, "skipped": [{ "email": "b@x.org", "reason": "cannot_message" }] }),
            ),
        ]);
        assert_eq!(history.partial_outcome(Some(operation)), expected);
    }

    #[test]
    fn the_last_result_of_a_state_that_ran_twice_counts() {
        let channel = |id: &str| json!({ "channel": { "id": id } });
        let history = history(&[
            ("EnsureChannel", channel("C1")),
            ("EnsureChannel", channel("C2")),
            ("PostMessage", json!({ "ts": "1.0", "duplicate": false })),
        ]);
        let outcome = history.partial_outcome(None);
        assert_eq!(outcome["channel"]["id"], "C2");
        assert_eq!(outcome["message"]["ts"], "1.0");
    }

    #[rstest]
    #[case("EnsureChannel")]
    #[case("FindChannel")]
    fn what_was_done_in_a_channel_that_was_replaced_is_not_reported_of_the_new_one(
        #[case] state: &str,
    ) {
        let channel = |id: &str| json!({ "channel": { "id": id } });
        let skipped = json!([{ "email": "a@x.org", "reason": "not_in_slack" }]);
        let history = history(&[
            ("ResolveUsers", json!({ "users": [], "skipped": skipped })),
            (state, channel("C1")),
            (
                "InviteMembers",
                json!({ "invited": ["b@x.org"], "skipped": [{ "email": "c@x.org", "reason": "bot" }] }),
            ),
            ("RemoveMembers", json!({ "removed": ["d@x.org"] })),
            ("PostMessage", json!({ "ts": "1.0", "duplicate": false })),
            (state, channel("C2")),
        ]);
        let expected = json!({ "channel": { "id": "C2" }, "members": { "skipped": skipped } });
        assert_eq!(history.partial_outcome(None), expected);
    }

    #[test]
    fn what_was_done_in_a_channel_that_was_found_again_is_reported() {
        let channel = json!({ "channel": { "id": "C1" } });
        let history = history(&[
            ("FindChannel", channel.clone()),
            ("InviteMembers", json!({ "invited": ["b@x.org"] })),
            ("FindChannel", channel),
        ]);
        assert_eq!(
            history.partial_outcome(None)["members"]["invited"],
            json!(["b@x.org"])
        );
    }

    #[test]
    fn the_outcome_of_an_item_is_what_was_recorded_and_its_card() {
        let skipped = json!([{ "email": "svc", "reason": "invalid_address" }]);
        let (channel, item) = (json!({ "id": "C1" }), json!({ "id": "x", "version": 7 }));
        let card = json!({ "ts": "1.0", "version": 7, "change": "posted" });
        let mut steps = vec![
            ("CheckRequest", json!({ "item": {}, "skipped": skipped })),
            ("RecordItem", json!({ "item": item })),
        ];
        let outcome =
            |steps: &[(&str, Value)]| history(steps).partial_outcome(Some(Operation::UpdateItem));
        let known = json!({ "item": item, "skipped": skipped });
        assert_eq!(outcome(&steps), known);
        steps.push(("EnsureChannel", json!({ "channel": channel })));
        steps.push(("UpdateCard", json!({ "card": card })));
        let whole = json!({ "channel": channel, "item": item, "card": card, "skipped": skipped });
        assert_eq!(outcome(&steps), whole);
        let another = json!({ "id": "C2" });
        steps.push(("EnsureChannel", json!({ "channel": another })));
        let moved = json!({ "channel": another, "item": item, "skipped": skipped });
        assert_eq!(outcome(&steps), moved);
    }

    #[test]
    fn an_execution_that_did_nothing_has_an_empty_outcome() {
        assert_eq!(history(&[]).partial_outcome(None), json!({}));
    }
}

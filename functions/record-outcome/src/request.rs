//! What a request asks for. It is read without validation, because invalid requests have receipts too.

use std::collections::HashSet;

use apgl_contract::{Email, ReportedAddress, decode::parse, request::Operation};
use serde::Serialize;
use serde_json::Value;

/// The limits of a valid request. An invalid one may exceed them, and must still fit into the table.
const LONGEST_NAME: usize = 80;
const LONGEST_ADDRESS: usize = 254;
const MOST_PEOPLE: usize = 1_000;

/// The lists of people in requests.
const LISTS: [(&str, Asked); 4] = [
    ("members", Asked::Invite),
    ("add", Asked::Invite),
    ("remove", Asked::Remove),
    ("mention", Asked::Mention),
];

/// The people whom an item's card names. Nothing is asked for them.
const NAMED: &str = "waitingFor";

/// What a request asks for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Asked {
    /// To invite them to the channel.
    Invite,
    /// To remove them from the channel.
    Remove,
    /// To mention them in the message.
    Mention,
    /// To send them the message.
    Message,
}

/// The channel and the people in a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub channel_name: Option<String>,
    /// Everybody whom the request names, once, in a form in which receipts can be found.
    pub people: Vec<String>,
    /// What the request asks for each of them, with the addresses as outcomes report them.
    pub asked: Vec<(ReportedAddress, Asked)>,
}

impl Request {
    pub fn read(input: &str, operation: Option<Operation>) -> Self {
        let input: Value = parse(input.as_bytes()).unwrap_or_default();
        Self {
            channel_name: channel_name(&input),
            people: people(&input),
            asked: asked(&input, operation),
        }
    }
}

fn channel_name(input: &Value) -> Option<String> {
    let name = input["channelName"].as_str()?;
    let name = name.strip_prefix('#').unwrap_or(name);
    let is_short = (1..=LONGEST_NAME).contains(&name.chars().count());
    is_short.then(|| name.to_owned())
}

fn people(input: &Value) -> Vec<String> {
    let named = list(input, NAMED);
    let people = entries(input).map(|(entry, _)| entry).chain(named);
    let people = people.filter_map(Value::as_str);
    let people = people.map(|person| person.trim().to_lowercase());
    let mut people: Vec<String> = people
        .filter(|person| (1..=LONGEST_ADDRESS).contains(&person.len()))
        .collect();
    let mut seen = HashSet::new();
    people.retain(|person| seen.insert(person.clone()));
    people
}

fn asked(input: &Value, operation: Option<Operation>) -> Vec<(ReportedAddress, Asked)> {
    let mut all = Vec::new();
    for (entry, asked) in entries(input) {
        let text = match entry {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Ok(email) = Email::try_from(text.clone()) else {
            all.push((ReportedAddress::of_invalid(&text), asked));
            continue;
        };
        // Only members can see a private channel.
        if asked == Asked::Mention && operation == Some(Operation::NotifyPrivateChannel) {
            all.push((email.clone().into(), Asked::Invite));
        }
        all.push((email.into(), asked));
    }
    let mut seen = HashSet::new();
    all.retain(|one| seen.insert(one.clone()));
    all
}

/// The entries of the lists of people, and the person of `notify-person`.
fn entries(input: &Value) -> impl Iterator<Item = (&Value, Asked)> {
    let lists = LISTS
        .into_iter()
        .flat_map(|(field, asked)| list(input, field).map(move |entry| (entry, asked)));
    let person = Some(&input["email"]).filter(|email| email.is_string());
    lists.chain(person.map(|person| (person, Asked::Message)))
}

fn list<'a>(input: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let list = input[field].as_array().into_iter().flatten();
    list.take(MOST_PEOPLE)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn read(input: &Value) -> Request {
        Request::read(&input.to_string(), None)
    }

    /// What is asked for whom, as JSON.
    fn asked_by(input: &Value, operation: Operation) -> Value {
        json!(Request::read(&input.to_string(), Some(operation)).asked)
    }

    #[test]
    fn the_request_is_read_without_its_message() {
        let request = read(&json!({
            "channelName": "#project-x", "message": "secret", "members": [" Ana@X.org", ""],
        }));
        assert_eq!(request.channel_name.as_deref(), Some("project-x"));
        assert_eq!(request.people, ["ana@x.org"]);
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[rstest]
    #[case("")]
    #[case("null")]
    #[case(r#"{ "channelName": "", "members": "ana@x.org", "add": 1, "remove": null, "email": ["ana@x.org"] }"#)]
    fn an_invalid_request_names_nobody(#[case] input: &str) {
        assert_eq!(Request::read(input, None), Request::default());
    }

    #[test]
    fn an_entry_that_is_no_text_does_not_hide_the_others() {
        let input = r#"{ "members": [null, "ana@x.org", "half \ud83e"] }"#;
        let request = Request::read(input, None);
        assert_eq!(request.people, ["ana@x.org", "half \u{fffd}"]);
        let asked = json!([
            ["null", "invite"],
            ["ana@x.org", "invite"],
            ["half \u{fffd}", "invite"]
        ]);
        assert_eq!(json!(request.asked), asked);
    }

    #[test]
    fn values_that_are_too_long_for_the_table_are_left_out() {
        let long = |length: usize| "x".repeat(length);
        let many: Vec<String> = (0..1_001).map(|n| format!("bob-{n}@x.org")).collect();
        let request = read(&json!({
            "channelName": long(81), "members": [long(255), "ana@x.org"], "add": many,
        }));
        assert_eq!(request.channel_name, None);
        assert_eq!(request.people.len(), 1_001);
        assert_eq!(request.people[0], "ana@x.org");
        let (reported, _) = &request.asked[0];
        assert_eq!(reported.as_str(), long(254));
    }

    #[test]
    fn everybody_whom_a_request_names_has_a_place_in_its_receipt_once() {
        let request = read(&json!({
            "members": ["ana@x.org", "ANA@x.org"], "add": ["bob@x.org"], "remove": ["eve@x.org"],
            "mention": ["ana@x.org", "joe@x.org"], "email": "Kim@x.org",
        }));
        assert_eq!(
            request.people,
            [
                "ana@x.org",
                "bob@x.org",
                "eve@x.org",
                "joe@x.org",
                "kim@x.org"
            ]
        );
    }

    #[test]
    fn those_for_whom_an_item_waits_are_named_and_nothing_is_asked_for_them() {
        let input = json!({
            "itemId": "content-item:guide-42", "channelName": "guide-42",
            "waitingFor": ["Ana@x.org", "bob@x.org", "ana@x.org"],
        });
        let request = Request::read(&input.to_string(), Some(Operation::UpdateItem));
        assert_eq!(request.channel_name.as_deref(), Some("guide-42"));
        assert_eq!(request.people, ["ana@x.org", "bob@x.org"]);
        assert_eq!(request.asked, []);
    }

    #[rstest]
    #[case::members_are_invited(
        Operation::CreateChannel,
        json!({ "members": [" Ana@x.org", "ana@x.org", "Svc-Build "] }),
        json!([["ana@x.org", "invite"], ["Svc-Build ", "invite"]]),
    )]
    #[case::added_and_removed(
        Operation::ChangeChannelMembers,
        json!({ "add": ["ana@x.org"], "remove": ["bob@x.org", "svc"] }),
        json!([["ana@x.org", "invite"], ["bob@x.org", "remove"], ["svc", "remove"]]),
    )]
    #[case::mentioned_in_public(
        Operation::NotifyPublicChannel,
        json!({ "mention": ["ana@x.org"] }),
        json!([["ana@x.org", "mention"]]),
    )]
    #[case::mentioned_in_private_where_only_addresses_are_invited(
        Operation::NotifyPrivateChannel,
        json!({ "members": ["ana@x.org"], "mention": ["bob@x.org", "ana@x.org", "svc"] }),
        json!([
            ["ana@x.org", "invite"],
            ["bob@x.org", "invite"], ["bob@x.org", "mention"],
            ["ana@x.org", "mention"],
            ["svc", "mention"],
        ]),
    )]
    #[case::a_direct_message(
        Operation::NotifyPerson,
        json!({ "email": "Ana@x.org" }),
        json!([["ana@x.org", "message"]]),
    )]
    fn each_person_has_an_entry_for_each_thing_that_is_asked(
        #[case] operation: Operation,
        #[case] input: Value,
        #[case] expected: Value,
    ) {
        assert_eq!(asked_by(&input, operation), expected);
    }
}

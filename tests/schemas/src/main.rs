//! `cargo xtask schemas`: writes the JSON Schemas of requests, outcomes and events from the Rust types.

use std::{collections::BTreeMap, error::Error, path::PathBuf};

use apgl_contract::schema;
use schemars::Schema;
use xtask::Project;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    for (name, text) in documents()? {
        std::fs::write(folder.join(name), text)?;
    }
    println!("wrote {}", folder.display());
    Ok(())
}

fn folder() -> PathBuf {
    Project::here().root.join("docs/schemas")
}

/// File names with their text.
fn documents() -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut documents: BTreeMap<String, Schema> = BTreeMap::new();
    for schemas in schema::all() {
        let workflow = schemas.workflow;
        for (kind, schema) in [("request", schemas.request), ("outcome", schemas.outcome)] {
            documents.insert(format!("{workflow}.{kind}"), schema);
        }
    }
    for (body, schema) in mpc_request_handler::schemas() {
        documents.insert(format!("mpc-request-handler.{body}"), schema);
    }
    for (event, schema) in [
        (
            "mpc-event-handler.content-item-state-changed",
            mpc_event_handler::schema(),
        ),
        (
            "mpc-content-bounty-processor.bounty-changed",
            mpc_content_bounty_processor::schema(),
        ),
        ("notification-settled", record_outcome::schema()),
    ] {
        documents.insert(event.to_owned(), schema);
    }
    let texts = documents.into_iter().map(|(name, schema)| {
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        Ok((format!("{name}.schema.json"), text))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn is_valid(document: &str, value: &Value) -> bool {
        let documents = documents().unwrap();
        let schema = documents[&format!("{document}.schema.json")]
            .parse()
            .unwrap();
        jsonschema::is_valid(&schema, value)
    }

    #[rstest]
    #[case(json!({ "message": "hi" }), true)]
    #[case(json!({ "message": "hi", "members": ["ana@example.com"] }), true)]
    #[case(json!({ "message": "hi", "visibility": "public" }), true)]
    #[case(json!({ "message": "hi", "visibility": "public", "mention": ["ana@example.com"] }), true)]
    #[case(json!({ "message": "hi", "visibility": "public", "members": [] }), false)]
    #[case(json!({ "message": "hi", "category": "critical", "sequence": { "key": "x", "number": 7 } }), true)]
    #[case(json!({ "message": "hi", "category": "urgent" }), false)]
    #[case(json!({ "message": "hi", "sequence": { "key": "x" } }), false)]
    #[case(json!({ "message": "hi", "channelName": "x" }), false)]
    fn the_body_of_a_message_is_the_request_of_its_workflow(
        #[case] body: Value,
        #[case] is_one: bool,
    ) {
        assert_eq!(is_valid("mpc-request-handler.send-message", &body), is_one);
    }

    #[rstest]
    #[case(json!({ "message": "hi" }), true)]
    #[case(json!({ "message": "hi", "category": "news", "expiresAt": "2026-11-25T10:00:00Z" }), true)]
    #[case(json!({}), false)]
    #[case(json!({ "message": "hi", "email": "ana@example.com" }), false)]
    #[case(json!({ "message": "hi", "mention": ["ana@example.com"] }), false)]
    fn the_body_of_a_direct_message_is_its_request_without_the_person(
        #[case] body: Value,
        #[case] is_one: bool,
    ) {
        let document = "mpc-request-handler.send-direct-message";
        assert_eq!(is_valid(document, &body), is_one);
    }

    #[rstest]
    #[case(json!({ "message": { "ts": "1.2", "duplicate": false, "channelId": "D1" }, "skipped": [] }), true)]
    #[case(json!({ "message": { "expired": true }, "skipped": [] }), true)]
    #[case(json!({ "message": { "superseded": true }, "skipped": [] }), true)]
    #[case(json!({ "message": { "expired": false }, "skipped": [] }), false)]
    #[case(json!({ "message": { "expired": true, "superseded": true }, "skipped": [] }), false)]
    #[case(json!({ "skipped": [{ "email": "ana@example.com", "reason": "opted_out" }] }), true)]
    #[case(json!({ "skipped": [{ "email": "ana@example.com", "reason": "whim" }] }), false)]
    fn the_outcome_of_a_direct_message_says_what_became_of_it(
        #[case] outcome: Value,
        #[case] is_one: bool,
    ) {
        assert_eq!(is_valid("notify-person.outcome", &outcome), is_one);
    }

    #[test]
    fn the_committed_schemas_match_the_types() {
        let mut checked_in = BTreeMap::new();
        for file in std::fs::read_dir(folder()).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            checked_in.insert(name, std::fs::read_to_string(file.path()).unwrap());
        }
        assert!(
            checked_in == documents().unwrap(),
            "run `cargo xtask schemas`"
        );
    }

    #[test]
    fn every_workflow_has_its_schemas() {
        let files = std::fs::read_dir(Project::here().root.join("statemachines")).unwrap();
        let mut workflows: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut described: Vec<String> = schema::all()
            .iter()
            .map(|schemas| format!("{}.asl.json", schemas.workflow))
            .collect();
        workflows.sort();
        described.sort();
        assert_eq!(workflows, described);
    }
}

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

    use super::*;

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

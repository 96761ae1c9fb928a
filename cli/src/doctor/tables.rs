//! The tables: whether they exist and have the right key.

use aws_sdk_cloudformation::types::Stack;
use aws_sdk_dynamodb::{
    operation::describe_table::DescribeTableError,
    types::{KeySchemaElement, TableStatus},
};

use super::{finding::Finding, stack::output};
use crate::deployment::{Deployment, refused};

pub(super) async fn check(deployment: &Deployment, stack: &Stack) -> Vec<Finding> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&deployment.aws);
    let mut findings = Vec::new();
    for (key, holder) in [
        ("UserProfilesTableName", "email"),
        ("SlackUsersTableName", "email"),
        ("ChannelsTableName", "name"),
        ("DeliveriesTableName", "deliveryId"),
        ("RateLimitsTableName", "owner, item"),
        ("ReceiptsTableName", "id, item"),
        ("ItemsTableName", "itemId, row"),
    ] {
        // The rate limiter may be off; then there is no such output.
        let Some(table) = output(stack, key) else {
            continue;
        };
        let described = dynamodb.describe_table().table_name(table).send().await;
        let described = match described {
            Ok(described) => described.table,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                None
            }
            Err(error) => {
                let failure = refused("DescribeTable", &error);
                findings.push(Finding::unchecked(&format!("table {table}"), &failure));
                continue;
            }
        };
        let Some(described) = described else {
            findings.push(Finding::bad(
                format!("table {table} does not exist"),
                "deploy again; docs/settings.md says how to use an existing table",
            ));
            continue;
        };
        let keys: Vec<&str> = described
            .key_schema()
            .iter()
            .map(KeySchemaElement::attribute_name)
            .collect();
        let has_index = |name: &&str| {
            let mut indexes = described.global_secondary_indexes().iter();
            indexes.any(|index| index.index_name() == Some(*name))
        };
        if let Some(missing) = indexes_of(key).iter().find(|name| !has_index(name)) {
            findings.push(Finding::bad(
                format!("table {table} has no index {missing}"),
                "add it as docs/settings.md describes it, or let the stack create its own table",
            ));
            continue;
        }
        findings.push(match described.table_status() {
            _ if keys.join(", ") != holder => Finding::bad(
                format!(
                    "table {table} has the key {}, not {holder}",
                    keys.join(", ")
                ),
                "use a table with this key, or let the stack create its own",
            ),
            Some(TableStatus::Active | TableStatus::Updating) => {
                Finding::good(format!("table {table}: active"))
            }
            status => Finding::bad(
                format!(
                    "table {table}: {}",
                    status.map_or("unknown", |s| s.as_str())
                ),
                "see the table in DynamoDB's console",
            ),
        });
    }
    findings
}

/// The indexes that a table needs, by the stack's output that names it.
fn indexes_of(output: &str) -> &'static [&'static str] {
    match output {
        "ItemsTableName" => &["byHour", "byPerson"],
        "ReceiptsTableName" => &["byChannel", "running"],
        _ => &[],
    }
}

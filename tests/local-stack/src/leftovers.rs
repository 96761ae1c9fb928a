//! Finds the resources that remain after a stack is destroyed.

use serde_json::Value;

use crate::{Error, Project, aws_cli::aws};

/// Part of every name of ours.
const OURS: &str = "apgl";

/// The commands that list every kind of resource that the CDK app creates.
const LISTS: [&[&str]; 16] = [
    &["apigatewayv2", "get-apis"],
    &["cloudwatch", "describe-alarms"],
    &["cloudwatch", "list-dashboards"],
    &["dynamodb", "list-tables"],
    &["events", "list-rules"],
    &["iam", "list-policies", "--scope", "Local"],
    &["iam", "list-roles"],
    &["lambda", "list-event-source-mappings"],
    &["lambda", "list-functions"],
    &["logs", "describe-log-groups"],
    &["logs", "describe-metric-filters"],
    &["logs", "describe-resource-policies"],
    &["secretsmanager", "list-secrets"],
    &["sns", "list-topics"],
    &["sqs", "list-queues"],
    &["stepfunctions", "list-state-machines"],
];

/// Returns every resource in the account that has a name of ours.
pub async fn leftovers(project: &Project, aws_url: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for list in LISTS {
        let json = aws(project, aws_url, list).await?;
        let mut names = Vec::new();
        ours(&json, &mut names);
        let what = list.join(" ");
        found.extend(names.into_iter().map(|name| format!("{what}: {name}")));
    }
    Ok(found)
}

fn ours<'a>(json: &'a Value, found: &mut Vec<&'a str>) {
    match json {
        Value::String(text) if text.contains(OURS) => found.push(text),
        Value::Array(parts) => parts.iter().for_each(|part| ours(part, found)),
        Value::Object(fields) => fields.values().for_each(|part| ours(part, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_with_our_names_are_found_at_any_depth() {
        let listed = json!({
            "Roles": [
                { "RoleName": "cdk-hnb659fds-deploy-role" },
                { "RoleName": "apgl-notifications-PostMessageRole", "Tags": [{ "Key": "x" }] },
            ],
            "TableNames": ["apgl-channels", "others"],
        });
        let mut found = Vec::new();
        ours(&listed, &mut found);
        assert_eq!(
            found,
            ["apgl-notifications-PostMessageRole", "apgl-channels"]
        );
    }
}

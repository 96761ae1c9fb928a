//! The deployed functions, and copies of the deployed workflows.

use std::collections::BTreeMap;

use aws_sdk_lambda::types::FunctionConfiguration;
use local_stack::{
    execution::state_machine_arn, invoke::Answer, runtime_api, stack::client_environment,
};
use serde_json::{Value, json};

use crate::{RECEIPTS_TABLE, World, unique};

impl World {
    /// Deploys a copy of a workflow's state machine with another definition, under a name that only this test uses.
    /// Returns that name in the form of a workflow's name.
    pub async fn copy_of(
        &self,
        workflow: &str,
        definition: impl FnOnce(String) -> String,
    ) -> String {
        let machines = aws_sdk_sfn::Client::new(&self.aws);
        let deployed = machines.describe_state_machine();
        let deployed = deployed.state_machine_arn(state_machine_arn(workflow));
        let deployed = deployed.send().await.expect("the workflow is deployed");
        let copy = format!("{workflow}.{}", unique("copy"));
        let create = machines
            .create_state_machine()
            .name(format!("apgl-{copy}"))
            .definition(definition(deployed.definition))
            .role_arn(deployed.role_arn);
        create.send().await.expect("the copy is made");
        copy
    }

    /// Runs the deployed function `watch-executions` once for these workflows.
    pub async fn watch(&self, workflows: &[&str]) {
        let program = self.functions.join("watch-executions/bootstrap");
        let url = self.aws.endpoint_url().expect("the stack has an address");
        let machines: Vec<String> = workflows
            .iter()
            .map(|name| state_machine_arn(name))
            .collect();
        let queue = format!("{url}/000000000000/apgl-outcomes");
        let environment = client_environment(url).into_iter().chain([
            ("STATE_MACHINES", machines.join(",")),
            ("RECEIPTS_TABLE", RECEIPTS_TABLE.to_owned()),
            ("OUTCOMES_QUEUE_URL", queue),
        ]);
        let answers = runtime_api::run(&program, environment, vec![json!({})]).await;
        let answers = answers.expect("the function runs");
        assert_eq!(answers, [Answer::Outcome(Value::Null)]);
    }

    /// The deployed functions, by the names of their crates.
    pub async fn functions(&self) -> BTreeMap<String, FunctionConfiguration> {
        let functions = aws_sdk_lambda::Client::new(&self.aws).list_functions();
        let functions = functions
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        let functions = functions.expect("the functions are listed");
        let named = functions.into_iter().filter_map(|function| {
            let name = function.function_name()?.strip_prefix("apgl-")?.to_owned();
            Some((name, function))
        });
        named.collect()
    }
}

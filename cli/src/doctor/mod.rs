//! `apgl doctor`: checks the deployment, and says what to do about each problem.

mod alarms;
mod concurrency;
mod dead_letters;
mod event_bus;
mod executions;
mod finding;
mod stack;
mod state_machines;
mod tables;
mod threads;
mod token;

use aws_sdk_cloudformation::types::Stack;

use crate::{
    deployment::Deployment,
    doctor::finding::{Finding, report},
    report::{Failure, Report},
};

/// Left out if the MPC service has its own handlers.
const OPTIONAL_STACK: &str = "mpc-handlers";

/// With `deep`, also tries what only Slack can answer. That reads messages.
pub async fn run(deployment: &Deployment, deep: bool) -> Result<Report, Failure> {
    let prefix = &deployment.prefix;
    let main = stack::find(deployment, "notifications").await?;
    let Some(main) = main else {
        return Err(Failure::aws(format!(
            "there is no stack {prefix}-notifications in this account and region: deploy it with \
             `npx cdk deploy --all`, or choose another --prefix, --region or --profile"
        )));
    };
    let mut findings = vec![stack::check(&main)];
    findings.extend(dead_letters::check(deployment, &main, &["OutcomeDeadLettersUrl"]).await);
    let handlers = stack::find(deployment, OPTIONAL_STACK).await?;
    match &handlers {
        Some(handlers) => {
            findings.push(stack::check(handlers));
            let queues = ["EventDeadLettersUrl", "BountyDeadLettersUrl"];
            findings.extend(dead_letters::check(deployment, handlers, &queues).await);
        }
        None => findings.push(Finding::good(format!(
            "stack {prefix}-{OPTIONAL_STACK}: not deployed (optional)"
        ))),
    }
    let machines = deployment.state_machines().await;
    findings.push(match &machines {
        Ok(machines) => state_machines::check(machines),
        Err(failure) => Finding::unchecked("state machines", failure),
    });
    findings.extend(token::check(deployment, &main, deep).await);
    findings.extend(tables::check(deployment, &main).await);
    findings.extend(event_bus::check(deployment, &main).await);
    let failed = match machines {
        Ok(machines) => executions::check(deployment, &machines).await,
        Err(failure) => Err(failure),
    };
    findings.push(failed.unwrap_or_else(|failure| Finding::unchecked("executions", &failure)));
    let concurrency = concurrency::check(deployment).await;
    findings.push(
        concurrency.unwrap_or_else(|failure| Finding::unchecked("Lambda concurrency", &failure)),
    );
    let stacks: Vec<&Stack> = [Some(&main), handlers.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    let alarms = alarms::check(deployment, &stacks).await;
    findings.extend(alarms.unwrap_or_else(|failure| vec![Finding::unchecked("alarms", &failure)]));
    Ok(report(&findings))
}

//! `cargo xtask demo`: sends one notification, from `StartExecution` to Slack, and shows what happened.

use std::{fs, process::ExitCode, time::Duration};

use clap::Parser;

use local_stack::{
    Execution, LocalStack, Project, StackOptions, Status, Visit, execution::Executions, people,
};
use serde_json::Value;
use slack_sandbox::workspace::Message;
use xtask::{
    arguments::Demo,
    program::{self, Failure},
    progress,
};

const WORKFLOW: &str = "notify-private-channel";
const AT_MOST: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() -> ExitCode {
    program::run(show(Demo::parse())).await
}

async fn show(arguments: Demo) -> Result<(), Failure> {
    let project = Project::here();
    let file = arguments
        .request
        .unwrap_or_else(|| project.root.join("tests/local-stack/demo/request.json"));
    let request = read_request(&file)?;
    let starting = LocalStack::start(&project, StackOptions::new("demo"));
    let stack = progress::step("Starting and deploying the local stack", starting).await?;
    progress::step("Adding some people", people::seed(&stack)).await?;
    let outcome = notify(&stack, &request).await;
    let log = project.logs().join("demo-functions.log");
    stack.save_function_logs(&log).await?;
    stack.stop().await;
    println!("\n  The functions' log lines are in {}", log.display());
    outcome
}

fn read_request(file: &std::path::Path) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let json = fs::read(file).map_err(|error| failed(&error))?;
    Ok(serde_json::from_slice(&json).map_err(|error| failed(&error))?)
}

async fn notify(stack: &LocalStack, request: &Value) -> Result<(), Failure> {
    let executions = Executions::new(&stack.aws);
    let arn = executions.start(WORKFLOW, request).await?;
    let waiting = executions.wait(&arn, AT_MOST);
    let execution = progress::step(&format!("Running {WORKFLOW}"), waiting).await?;
    show_states(&executions.visits(&arn).await?);
    if execution.status != Status::Succeeded {
        return Err(failure_of(&execution).into());
    }
    show_members(&execution.output["members"]);
    show_message(stack, &execution.output).await
}

fn failure_of(execution: &Execution) -> String {
    let (error, cause) = (execution.error.as_deref(), execution.cause.as_deref());
    let cause: Value = cause
        .and_then(|cause| cause.parse().ok())
        .unwrap_or_default();
    let message = cause["message"]
        .as_str()
        .or(cause["errorMessage"].as_str())
        .unwrap_or("no cause");
    format!(
        "the execution failed with {}: {message}",
        error.unwrap_or("no error")
    )
}

fn show_states(visits: &[Visit]) {
    println!("\n  {:<28}{:>10}{:>10}", "State", "began", "took");
    for visit in visits {
        let (began, took) = (visit.began.as_secs_f64(), visit.took.as_secs_f64());
        let note = match visit.failed_attempts {
            0 => String::new(),
            attempts => format!("  (failed attempts: {attempts})"),
        };
        println!("  {:<28}{began:>8.2} s{took:>8.2} s{note}", visit.state);
    }
}

fn show_members(members: &Value) {
    println!("\n  Members");
    for (what, field) in [("invited", "invited"), ("already there", "alreadyMembers")] {
        for email in members[field].as_array().into_iter().flatten() {
            println!("  {what:<15}{}", email.as_str().unwrap_or_default());
        }
    }
    for skipped in members["skipped"].as_array().into_iter().flatten() {
        let (email, reason) = (skipped["email"].as_str(), skipped["reason"].as_str());
        println!(
            "  {:<15}{}  ({})",
            "skipped",
            email.unwrap_or_default(),
            reason.unwrap_or_default()
        );
    }
}

/// Reads the message back from the sandbox, so that it shows what really arrived.
async fn show_message(stack: &LocalStack, output: &Value) -> Result<(), Failure> {
    let name = output["channel"]["name"].as_str().unwrap_or_default();
    let ts = output["message"]["ts"].as_str().unwrap_or_default();
    let sandbox = stack.sandbox().ok_or("the demo needs the sandbox")?;
    let channel = sandbox
        .channel(name)
        .await?
        .ok_or("Slack has no such channel")?;
    let message = channel.messages.iter().find(|message| message.ts == ts);
    let message: &Message = message.ok_or("Slack has no such message")?;
    let kind = if channel.is_private {
        "private"
    } else {
        "public"
    };
    println!(
        "\n  In Slack: #{name} ({kind}, {} members), message {ts}",
        channel.members.len()
    );
    println!("  ┌ APGL-Notifications");
    for line in message.text.lines() {
        println!("  │ {line}");
    }
    if let Some(blocks) = message.blocks.as_ref().and_then(Value::as_array) {
        let kinds: Vec<_> = blocks
            .iter()
            .filter_map(|block| block["type"].as_str())
            .collect();
        println!("  │ with blocks: {}", kinds.join(", "));
    }
    let copies = channel.messages.iter();
    let copies = copies.filter(|copy| copy.metadata == message.metadata);
    match copies.count() {
        1 => println!("  └ posted once"),
        count => return Err(format!("the message is in Slack {count} times").into()),
    }
    Ok(())
}

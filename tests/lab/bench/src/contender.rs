//! What is measured: the functions as they are deployed, and a minimal function to compare them with.

use std::{
    collections::BTreeMap,
    iter,
    path::{Path, PathBuf},
};

use aws_sdk_lambda::Client;
use local_stack::{
    LocalStack, Project,
    invoke::Answer,
    runtime_api::{Answered, Function},
    stack::client_environment,
};
use serde_json::{Value, json};
use tokio::process::Command;
use xtask::{
    builds::{built_functions, cargo},
    process::run_to_log,
};

use crate::{Error, events::Scene};

/// The crate of the minimal function.
const BARE: &str = "bare";

/// A program that takes events from the Runtime API.
#[derive(Debug, Clone)]
pub struct Contender {
    pub name: String,
    pub kind: ContenderKind,
    pub program: PathBuf,
    environment: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContenderKind {
    /// The minimal function, which returns at once.
    Bare,
    /// One of our functions. Its events are numbered from `first` on.
    Function {
        function: String,
        first_event: usize,
    },
}

/// The addresses of AWS and Slack for a contender.
#[derive(Debug, Clone)]
pub struct Places {
    pub aws: String,
    pub slack: String,
}

impl Places {
    pub fn of(stack: &LocalStack) -> Self {
        Self {
            aws: stack.endpoints.aws.clone(),
            slack: stack.endpoints.slack.clone(),
        }
    }
}

/// The minimal function `bare`, and every function with the variables that it is deployed with; then the functions of
/// the builds `beside`, by folder. Each is going to get `events` events.
pub async fn all(
    project: &Project,
    stack: &LocalStack,
    bare: Contender,
    beside: &[PathBuf],
    events: usize,
) -> Result<Vec<Contender>, Error> {
    let lambda = Client::new(&stack.aws);
    let mut contenders = vec![bare];
    let own = project.functions();
    for (n, folder) in iter::once(&own).chain(beside).enumerate() {
        let mut built = built(folder, &lambda, n * events).await?;
        if n > 0 {
            for contender in &mut built {
                contender.name = format!("{}, {}", contender.name, folder.display());
            }
        }
        contenders.extend(built);
    }
    Ok(contenders)
}

/// Builds the minimal function as the functions are built: alone, because a common build would unify the features of
/// the crates that they use.
pub async fn bare(project: &Project) -> Result<Contender, Error> {
    let mut build = cargo(&project.root);
    build.args(["build", "--release", "--locked", "--package", BARE]);
    let log = project.logs().join("bare.log");
    run_to_log("cargo build bare", &mut build, &log).await?;
    Ok(Contender {
        name: BARE.to_owned(),
        kind: ContenderKind::Bare,
        program: project.target().join("release").join(BARE),
        environment: BTreeMap::new(),
    })
}

/// The functions that are built into a folder, each with the variables that it is deployed with.
async fn built(
    folder: &Path,
    lambda: &Client,
    first_event: usize,
) -> Result<Vec<Contender>, Error> {
    let built = built_functions(folder).map_err(Error::io(folder.display().to_string()))?;
    let mut functions = Vec::new();
    for (function, program) in built {
        let configuration = lambda
            .get_function_configuration()
            .function_name(format!("apgl-{function}"))
            .send()
            .await
            .map_err(|error| Error::Aws {
                what: "GetFunctionConfiguration",
                reason: format!("{function}: {error:?}"),
            })?;
        let environment = configuration.environment;
        let variables = environment.and_then(|environment| environment.variables);
        functions.push(Contender {
            name: function.clone(),
            kind: ContenderKind::Function {
                function,
                first_event,
            },
            program,
            environment: variables.into_iter().flatten().collect(),
        });
    }
    Ok(functions)
}

impl Contender {
    /// Starts the process with only `PATH` from this machine's environment.
    pub async fn start(&self, places: &Places) -> Result<Function, Error> {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&self.environment)
            .envs(client_environment(&places.aws))
            .env("SLACK_API_URL", &places.slack)
            .stdout(std::process::Stdio::null());
        Ok(Function::start(command).await?)
    }

    pub fn event(&self, scene: &Scene, n: usize) -> Result<Value, Error> {
        let ContenderKind::Function {
            function,
            first_event,
        } = &self.kind
        else {
            return Ok(json!({}));
        };
        let unknown = || {
            Error::Unmeasured(format!(
                "{function} has no event: write one in tests/lab/bench/src/events.rs"
            ))
        };
        scene.event(function, first_event + n).ok_or_else(unknown)
    }

    /// Sends an event to a running process. Fails unless it succeeds.
    pub async fn invoke(&self, function: &mut Function, event: Value) -> Result<Answered, Error> {
        let answered = function.invoke(event).await?;
        let bad = |error: &str, cause: String| Error::Answer {
            contender: self.name.clone(),
            error: error.to_owned(),
            cause,
        };
        match &answered.answer {
            Answer::Failure { error, cause } => Err(bad(error, cause.clone())),
            // An HTTP API's response carries its own status.
            Answer::Outcome(outcome)
                if outcome["statusCode"]
                    .as_u64()
                    .is_some_and(|status| status >= 400) =>
            {
                Err(bad("its status", outcome["statusCode"].to_string()))
            }
            Answer::Outcome(_) => Ok(answered),
        }
    }
}

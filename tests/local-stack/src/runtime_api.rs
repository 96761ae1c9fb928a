//! Lambda's Runtime API for one process: a function that nobody has deployed, run for some events.
//!
//! Source: "Using the Lambda runtime API for custom runtimes", AWS Lambda Developer Guide.

use std::{
    path::Path as FilePath,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    process::Command,
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{Error, HttpServer, invoke::Answer};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:example";
const TIMEOUT: Duration = Duration::from_mins(1);

/// Starts the program with these variables, hands it one event after the other, and answers what it
/// answered to each. Then the program is ended.
pub async fn run(
    program: &FilePath,
    environment: impl IntoIterator<Item = (&'static str, String)>,
    events: Vec<Value>,
) -> Result<Vec<Answer>, Error> {
    let count = events.len();
    let (answers, mut answered) = mpsc::channel(count.max(1));
    let lambda = Lambda {
        events: Arc::new(Mutex::new(events.into_iter())),
        answers,
    };
    let server = HttpServer::start(lambda.router()).await;
    let server = server.map_err(Error::io("the Runtime API"))?;
    let mut function = Command::new(program);
    function
        .envs(environment)
        .env("AWS_LAMBDA_RUNTIME_API", server.address().to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "example")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .kill_on_drop(true);
    let process = function.spawn().map_err(Error::io(program.display()))?;
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let answer = timeout(TIMEOUT, answered.recv()).await.ok().flatten();
        all.push(
            answer.ok_or_else(|| Error::Setup(format!("{} does not answer", program.display())))?,
        );
    }
    drop(process);
    Ok(all)
}

#[derive(Clone)]
struct Lambda {
    events: Arc<Mutex<std::vec::IntoIter<Value>>>,
    answers: mpsc::Sender<Answer>,
}

impl Lambda {
    fn router(self) -> Router {
        const INVOCATION: &str = "/2018-06-01/runtime/invocation";
        Router::new()
            .route(&format!("{INVOCATION}/next"), get(next))
            .route(&format!("{INVOCATION}/{{id}}/response"), post(response))
            .route(&format!("{INVOCATION}/{{id}}/error"), post(error))
            .with_state(self)
    }
}

/// The next event. After the last one the function waits for its end, as it does on Lambda.
async fn next(State(lambda): State<Lambda>) -> Response {
    let Some(event) = lambda.events.lock().await.next() else {
        return std::future::pending().await;
    };
    let deadline = SystemTime::now() + TIMEOUT;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "example".to_owned()),
        ("lambda-runtime-invoked-function-arn", FUNCTION.to_owned()),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
    ];
    (headers, Json(event)).into_response()
}

async fn response(State(lambda): State<Lambda>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let outcome = json(&body);
    let _ = lambda.answers.send(Answer::Outcome(outcome)).await;
    StatusCode::ACCEPTED
}

async fn error(State(lambda): State<Lambda>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let failure = Answer::failure(&json(&body));
    let _ = lambda.answers.send(failure).await;
    StatusCode::ACCEPTED
}

/// Functions send JSON and don't say so.
fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

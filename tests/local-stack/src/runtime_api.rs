//! Lambda's Runtime API for one process, to run a function without deploying it.
//!
//! Source: "Using the Lambda runtime API for custom runtimes", AWS Lambda Developer Guide.

use std::{
    fs, io,
    path::Path as FilePath,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{Error, HttpServer, invoke::Answer};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:example";
const TIMEOUT: Duration = Duration::from_mins(1);

/// Starts the program with these variables, sends it the events one after another, and returns its responses.
/// Then stops the program.
pub async fn run(
    program: &FilePath,
    environment: impl IntoIterator<Item = (&'static str, String)>,
    events: Vec<Value>,
) -> Result<Vec<Answer>, Error> {
    let mut command = Command::new(program);
    command.envs(environment);
    let mut function = Function::start(command).await?;
    let mut answers = Vec::with_capacity(events.len());
    for event in events {
        answers.push(function.invoke(event).await?.answer);
    }
    Ok(answers)
}

/// A running function, until it is dropped.
#[derive(Debug)]
pub struct Function {
    process: Child,
    what: String,
    started: Instant,
    first_asked: Arc<OnceLock<Instant>>,
    events: mpsc::Sender<Value>,
    answers: mpsc::Receiver<(Answer, Instant)>,
    _server: HttpServer,
}

/// A function's response, with its times.
#[derive(Debug)]
pub struct Answered {
    pub answer: Answer,
    /// Time since the process was started.
    pub after: Duration,
    /// Time since the event was available to the function.
    pub took: Duration,
}

impl Function {
    /// Starts the command with the variables that Lambda sets in addition to the function's own.
    pub async fn start(mut command: Command) -> Result<Self, Error> {
        let (events, to_come) = mpsc::channel(1);
        let (answers, answered) = mpsc::channel(1);
        let lambda = Lambda {
            events: Arc::new(Mutex::new(to_come)),
            invocations: Arc::default(),
            first_asked: Arc::default(),
            answers,
        };
        let first_asked = lambda.first_asked.clone();
        let server = HttpServer::start(lambda.router()).await;
        let server = server.map_err(Error::io("the Runtime API"))?;
        command
            .env("AWS_LAMBDA_RUNTIME_API", server.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "example")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .kill_on_drop(true);
        let what = command.as_std().get_program().display().to_string();
        let started = Instant::now();
        let process = command.spawn().map_err(Error::io(&what))?;
        Ok(Self {
            process,
            what,
            started,
            first_asked,
            events,
            answers: answered,
            _server: server,
        })
    }

    /// Sends an event, whether the function has asked for one yet or not, and waits for the response.
    pub async fn invoke(&mut self, event: Value) -> Result<Answered, Error> {
        let there = Instant::now();
        let failed = |how: &str| Error::Setup(format!("{} {how}", self.what));
        let sent = self.events.send(event).await;
        sent.map_err(|_| failed("does not accept events"))?;
        let (answer, at) = tokio::select! {
            biased;
            answered = timeout(TIMEOUT, self.answers.recv()) => {
                answered.ok().flatten().ok_or_else(|| failed("does not respond"))?
            }
            ended = self.process.wait() => {
                let status = ended.map_err(Error::io(&self.what))?;
                return Err(failed(&format!("ended before it responded: {status}")));
            }
        };
        Ok(Answered {
            answer,
            after: at - self.started,
            took: at - there,
        })
    }

    /// How long the process ran before it asked for its first event. `None` if it has not asked yet.
    pub fn asked_after(&self) -> Option<Duration> {
        Some(*self.first_asked.get()? - self.started)
    }

    /// The processor time of the process's running threads. Only available on Linux.
    pub fn processor_time(&self) -> Result<Duration, Error> {
        processor_time(self.id()?).map_err(Error::io("the processor time"))
    }

    /// The peak memory of the process so far, in bytes. Only available on Linux.
    pub fn peak_memory(&self) -> Result<u64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?));
        let status = status.map_err(Error::io("the memory"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let kilobytes: Option<u64> = peak.and_then(|peak| peak.parse().ok());
        let unknown = || Error::Setup("the system does not report the process's memory".to_owned());
        Ok(1_024 * kilobytes.ok_or_else(unknown)?)
    }

    fn id(&self) -> Result<u32, Error> {
        let ended = || Error::Setup(format!("{} has ended", self.what));
        self.process.id().ok_or_else(ended)
    }
}

fn processor_time(process: u32) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let schedule = match fs::read_to_string(thread?.path().join("schedstat")) {
            // The thread has just ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            schedule => schedule?,
        };
        let on_processor = schedule
            .split(' ')
            .next()
            .and_then(|first| first.parse().ok());
        nanoseconds += on_processor.unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

#[derive(Clone)]
struct Lambda {
    events: Arc<Mutex<mpsc::Receiver<Value>>>,
    invocations: Arc<AtomicU64>,
    first_asked: Arc<OnceLock<Instant>>,
    answers: mpsc::Sender<(Answer, Instant)>,
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

/// Returns the next event. After the last one, the function waits until it is stopped, as on Lambda.
async fn next(State(lambda): State<Lambda>) -> Response {
    lambda.first_asked.get_or_init(Instant::now);
    let Some(event) = lambda.events.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let deadline = SystemTime::now() + TIMEOUT;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = lambda.invocations.fetch_add(1, Ordering::Relaxed);
    let headers = [
        ("lambda-runtime-aws-request-id", format!("example-{number}")),
        ("lambda-runtime-invoked-function-arn", FUNCTION.to_owned()),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
    ];
    (headers, Json(event)).into_response()
}

async fn response(State(lambda): State<Lambda>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let outcome = Answer::Outcome(json(&body));
    let _ = lambda.answers.send((outcome, at)).await;
    StatusCode::ACCEPTED
}

async fn error(State(lambda): State<Lambda>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let _ = lambda
        .answers
        .send((Answer::failure(&json(&body)), at))
        .await;
    StatusCode::ACCEPTED
}

/// Functions send JSON without declaring the content type.
fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

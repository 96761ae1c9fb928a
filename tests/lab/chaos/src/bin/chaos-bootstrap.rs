//! A `bootstrap` that runs between Lambda's Runtime API and a function's own bootstrap.
//!
//! Lambda sees it as the function. The function, which it runs as a child process, sees it as Lambda. In between
//! it kills, hangs or duplicates invocations. For each invocation it asks the test run which of these to do.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chaos::lambda::{INVOCATION_FAULTS_URL, InvocationFault, OWN_BOOTSTRAP};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc},
    time::sleep,
};

const INVOCATION: &str = "/2018-06-01/runtime/invocation";
const INIT_ERROR: &str = "/2018-06-01/runtime/init/error";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return ExitCode::FAILURE;
    };
    // Whichever ends first, the child processes are dropped, which kills them.
    tokio::select! {
        failure = serve() => {
            if let Err(failure) = failure {
                eprintln!("chaos-bootstrap: {failure}");
            }
        }
        _ = terminate.recv() => {}
    }
    ExitCode::FAILURE
}

/// Serves invocations until one of them ends the process on purpose.
async fn serve() -> Result<(), Failure> {
    let lambda = Lambda::from_env()?;
    let mut function = Function::start().await?;
    loop {
        let event = lambda.next().await?;
        match lambda.fault(&event).await? {
            InvocationFault::None => {
                function.begin(event.clone());
                lambda.answer(&event, function.answer().await?).await?;
            }
            InvocationFault::Killed { after_millis } => {
                function.begin(event);
                tokio::select! {
                    () = sleep(Duration::from_millis(after_millis)) => {}
                    _ = function.answer() => {}
                }
                function.kill().await;
                return Ok(());
            }
            InvocationFault::TimedOutBefore => std::future::pending().await,
            InvocationFault::TimedOutAfter => {
                function.begin(event);
                function.answer().await?;
                std::future::pending::<()>().await;
            }
            InvocationFault::Copied { after_millis } => {
                let mut copy = Function::start().await?;
                let copied = event.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(after_millis)).await;
                    let left = copied.time_left();
                    copy.begin(copied);
                    // Lambda would also stop the copy at its deadline.
                    let _ = tokio::time::timeout(left, copy.answer()).await;
                });
                function.begin(event.clone());
                lambda.answer(&event, function.answer().await?).await?;
            }
        }
    }
}

/// An invocation: Lambda's headers and the payload.
#[derive(Debug, Clone)]
struct Event {
    headers: HeaderMap,
    payload: Bytes,
}

impl Event {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    fn time_left(&self) -> Duration {
        let deadline = self.header("lambda-runtime-deadline-ms").parse();
        let deadline = std::time::UNIX_EPOCH + Duration::from_millis(deadline.unwrap_or_default());
        deadline
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default()
    }
}

/// A function's response: its kind (`response` or `error`) and the body.
#[derive(Debug)]
struct Answer {
    kind: String,
    body: Bytes,
}

/// Lambda, and the test run's server that decides each invocation's fault.
struct Lambda {
    http: reqwest::Client,
    api: String,
    invocation_faults: String,
}

impl Lambda {
    fn from_env() -> Result<Self, Failure> {
        Ok(Self {
            http: reqwest::Client::new(),
            api: format!("http://{}", env::var("AWS_LAMBDA_RUNTIME_API")?),
            invocation_faults: format!(
                "{}{}",
                env::var(INVOCATION_FAULTS_URL)?,
                env::var("AWS_LAMBDA_FUNCTION_NAME")?
            ),
        })
    }

    async fn next(&self) -> Result<Event, Failure> {
        let url = format!("{}{INVOCATION}/next", self.api);
        let next = self.http.get(url).send().await?.error_for_status()?;
        let headers = next.headers().clone();
        let payload = next.bytes().await?;
        Ok(Event { headers, payload })
    }

    async fn fault(&self, event: &Event) -> Result<InvocationFault, Failure> {
        let asking = self.http.post(&self.invocation_faults);
        let asking = asking.header(CONTENT_TYPE, "application/json");
        let fault = asking.body(event.payload.clone()).send().await?;
        Ok(fault.error_for_status()?.json().await?)
    }

    async fn answer(&self, event: &Event, answer: Answer) -> Result<(), Failure> {
        let id = event.header("lambda-runtime-aws-request-id");
        let url = format!("{}{INVOCATION}/{id}/{}", self.api, answer.kind);
        let sent = self.http.post(url).body(answer.body).send().await?;
        sent.error_for_status()?;
        Ok(())
    }
}

/// The function's own bootstrap, as a child process with a Runtime API of its own.
struct Function {
    process: Child,
    events: mpsc::UnboundedSender<Event>,
    answers: mpsc::UnboundedReceiver<Answer>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::UnboundedReceiver<Event>>>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Function {
    async fn start() -> Result<Self, Failure> {
        let (events, incoming) = mpsc::unbounded_channel();
        let (outgoing, answers) = mpsc::unbounded_channel();
        let api = Api {
            events: Arc::new(Mutex::new(incoming)),
            answers: outgoing,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route(&format!("{INVOCATION}/next"), get(next))
            .route(&format!("{INVOCATION}/{{id}}/{{kind}}"), post(answer))
            .route(INIT_ERROR, post(init_error))
            .with_state(api);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let process = Command::new(env::current_dir()?.join(OWN_BOOTSTRAP))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            process,
            events,
            answers,
            server,
        })
    }

    fn begin(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Returns the response to the current invocation, or an error if the process ended without one.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        tokio::select! {
            answer = self.answers.recv() => Ok(answer.ok_or("the function's Runtime API has stopped")?),
            status = self.process.wait() => Err(format!("the function ended: {}", status?).into()),
        }
    }

    async fn kill(&mut self) {
        let _ = self.process.kill().await;
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(api): State<Api>) -> Response {
    let event = api.events.lock().await.recv().await;
    let Some(event) = event else {
        return StatusCode::GONE.into_response();
    };
    let own = |name: &str| name.starts_with("lambda-runtime-");
    let headers: HeaderMap = event
        .headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .filter(|(name, _)| own(name.as_str()))
        .collect();
    (headers, event.payload).into_response()
}

async fn answer(
    State(api): State<Api>,
    Path((_id, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let _ = api.answers.send(Answer { kind, body });
    StatusCode::ACCEPTED
}

async fn init_error() -> StatusCode {
    StatusCode::ACCEPTED
}

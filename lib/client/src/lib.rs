//! Starts the workflows of APGL Notifications, once per event, and reports their results.
//!
//! A handler makes a request with an idempotency key, and does not wait for the result:
//!
//! ```no_run
//! use apgl_client::{Client, NotifyPrivateChannel};
//!
//! # async fn handle(event_id: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let notifications = Client::from_env("mpc-event")?; // once, when the handler starts
//! let request = NotifyPrivateChannel::new("guide-42", "Your guide is *published*.")
//!     .members(["ana@example.com", "bob@example.com"]);
//! notifications.notify_private_channel(event_id, &request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `lib/client/examples/handler.rs` is a complete Lambda function that does this.
//!
//! # The key
//!
//! The key is the id of the event that the handler processes, not a random value and not the time. The execution's
//! name is derived from the key ([`ExecutionName`]), so starting the same event again returns the same execution.
//! This holds until 90 days after the execution's end; then Step Functions allows its name again.
//!
//! | the caller starts | with this request | result |
//! |---|---|---|
//! | a new key | any valid one | an [`Execution`] |
//! | a used key | the same | the same [`Execution`], whether it is running, has succeeded or has failed |
//! | a used key | a different one | [`StartError::Conflict`] |
//!
//! A failed execution keeps its name. It is redriven, not started again.
//!
//! Everything in the request comes from the event, too. A time that a handler reads from its own clock, for example for
//! [`expires_at`](NotifyPrivateChannel::expires_at), makes another request when the event is handled again: a conflict.
//!
//! # What became of a message
//!
//! A message that says until when it matters, or which one it follows, can come too late. Then the execution succeeds
//! without posting it, and the outcome says why:
//!
//! ```no_run
//! use std::time::{Duration, SystemTime};
//!
//! use apgl_client::{
//!     Category, Client, NotifyPerson,
//!     outcome::{MessageOutcome, NotPosted},
//! };
//!
//! # async fn remind(notifications: &Client, deadline: SystemTime) -> Result<(), Box<dyn std::error::Error>> {
//! let request = NotifyPerson::new("ana@example.com", "Please review <https://library.example/guide-42|guide 42>.")
//!     .category(Category::Action)
//!     .expires_at(deadline)
//!     .sequence("guide-42", 3);
//! let execution = notifications.notify_person("guide-42-reminder-3", &request).await?;
//! let outcome = execution.wait(Duration::from_secs(60)).await?; // in a tool or a test
//! match outcome.message {
//!     Some(MessageOutcome::Posted(message)) => println!("posted {}", message.ts.as_str()),
//!     Some(MessageOutcome::NotPosted(NotPosted::Expired)) => println!("the deadline has passed"),
//!     Some(MessageOutcome::NotPosted(NotPosted::Superseded)) => println!("a later message was posted"),
//!     None => println!("not sent: {:?}", outcome.skipped),
//!     Some(_) => println!("not posted, for a reason that this version does not know"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What can go wrong
//!
//! | [`StartError`] | has an execution started? | what to do |
//! |---|---|---|
//! | [`InvalidRequest`](StartError::InvalidRequest), [`Key`](StartError::Key) | no | fix the request; the error names the field |
//! | [`Conflict`](StartError::Conflict) | an earlier one | find out why two events have the same id |
//! | [`Unavailable`](StartError::Unavailable) | perhaps | start again with the same key; the client has already retried, with jitter, for the [budget](Client::with_budget) |
//! | [`Refused`](StartError::Refused), [`NotConfigured`](StartError::NotConfigured) | no | an operator fixes the configuration or the role |
//!
//! ```
//! use apgl_client::StartError;
//!
//! /// The status that an HTTP handler returns.
//! fn status(error: &StartError) -> u16 {
//!     match error {
//!         StartError::InvalidRequest(_) | StartError::Key(_) => 400,
//!         StartError::Conflict { .. } => 409,
//!         StartError::Unavailable { .. } => 503,
//!         _ => 500,
//!     }
//! }
//! # assert_eq!(status(&StartError::Key(apgl_client::NameError::EmptyKey)), 400);
//! ```
//!
//! No error, and no `Debug` output of a request, contains a message's text or an address.
//!
//! # What it needs
//!
//! [`Client::from_env`] reads:
//!
//! | variable | content |
//! |---|---|
//! | `APGL_STATE_MACHINES` | the common start of all workflows' ARNs, for example `arn:aws:states:eu-west-1:123456789012:stateMachine:apgl` |
//! | `APGL_STATE_MACHINE_ALIAS` | the alias with which these state machines are started: `live` in AWS, shifted by each release |
//! | `APGL_NOTIFY_PRIVATE_CHANNEL_ARN`, … | the ARN of one workflow's state machine, version or alias. It takes precedence over `APGL_STATE_MACHINES`. Each of the eight workflows has such a variable |
//! | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | as Lambda sets them |
//! | `AWS_ENDPOINT_URL` | the local stack, if it replaces AWS |
//! | `SSL_CERT_FILE` | certificates that are trusted instead of Mozilla's, for example behind a TLS-intercepting proxy |
//!
//! The caller's role needs `states:StartExecution` on the state machines and `states:DescribeExecution` on their
//! executions. The client uses the latter to compare the request if the name already exists, and
//! [`Execution::wait`] polls with it.
//!
//! The crate brings one HTTP client: reqwest with rustls and ring. A handler that has its own AWS configuration can
//! pass its Step Functions client to [`Client::new`]:
//!
//! ```
//! use apgl_client::{Client, StateMachines};
//!
//! # fn client(sfn: aws_sdk_sfn::Client) -> Option<Client> {
//! let machines = "arn:aws:states:eu-west-1:123456789012:stateMachine:apgl";
//! let machines = StateMachines::starting_with(machines)?;
//! let notifications = Client::new(sfn, machines, "mpc-event").ok()?;
//! # Some(notifications)
//! # }
//! ```

mod client;
mod error;
mod execution;
mod name;
mod request;
mod state_machines;

pub use apgl_contract::{
    Category, ChannelRef, Email, ErrorName, InvalidField, MessageTs, Recovery, ReportedAddress,
    Visibility, outcome, request::Operation,
};
pub use client::Client;
pub use error::{ConfigError, Failure, StartError, WaitError};
pub use execution::Execution;
pub use name::{ExecutionName, NameError};
pub use request::{
    ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Message, NotifyPerson,
    NotifyPrivateChannel, NotifyPublicChannel, Time, UpdateItem,
};
pub use state_machines::{FindError, StateMachineArn, StateMachines};

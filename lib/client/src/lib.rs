//! Starts the workflows of APGL Notifications, each event once, and tells what became of them.
//!
//! A handler says what it wants, under a key of its own, and goes on:
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
//! `lib/client/examples/handler.rs` is a whole Lambda that does so.
//!
//! # The key
//!
//! It is the id of the event that the handler works on: not a random one, not the time. The execution's
//! name is made from it ([`ExecutionName`]), so the same event, started again, is the same execution,
//! for as long as Step Functions keeps names apart: 90 days after its end.
//!
//! | the caller starts | with this request | answer |
//! |---|---|---|
//! | a new key | any that is valid | an [`Execution`] |
//! | a key that has been started | the same | the same [`Execution`]: it runs, or has ended, well or badly |
//! | a key that has been started | another | [`StartError::Conflict`] |
//!
//! An execution that has failed keeps its name. It is redriven, not started again.
//!
//! # What can go wrong
//!
//! | [`StartError`] | has an execution started? | what to do |
//! |---|---|---|
//! | [`InvalidRequest`](StartError::InvalidRequest), [`Key`](StartError::Key) | no | mend the request; the error names the field |
//! | [`Conflict`](StartError::Conflict) | an earlier one | find out why two events have one id |
//! | [`Unavailable`](StartError::Unavailable) | perhaps | start again, with the same key: it has been retried, with jitter, for the [budget](Client::with_budget) |
//! | [`Refused`](StartError::Refused), [`NotConfigured`](StartError::NotConfigured) | no | an operator mends the configuration or the role |
//!
//! ```
//! use apgl_client::StartError;
//!
//! /// What an HTTP handler answers.
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
//! No error, and no `Debug` of a request, holds a message's text or an address.
//!
//! # What it needs
//!
//! [`Client::from_env`] reads:
//!
//! | variable | holds |
//! |---|---|
//! | `APGL_STATE_MACHINES` | what the ARNs of all workflows start with, for example `arn:aws:states:eu-west-1:123456789012:stateMachine:apgl` |
//! | `APGL_STATE_MACHINE_ALIAS` | the alias by which these are started, `live` in AWS: a release shifts it |
//! | `APGL_NOTIFY_PRIVATE_CHANNEL_ARN`, … | one workflow's own ARN, a version's or an alias's too. It comes before the one above; and the other five have theirs |
//! | `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | as Lambda sets them |
//! | `AWS_ENDPOINT_URL` | the local stack, where AWS is not AWS itself |
//! | `SSL_CERT_FILE` | certificates that are trusted instead of Mozilla's: behind a proxy that signs for everybody |
//!
//! The caller's role needs `states:StartExecution` on the state machines and `states:DescribeExecution`
//! on their executions: what a name was started with is read when it is there already, and it is what
//! [`Execution::wait`] polls.
//!
//! It brings one HTTP client, reqwest over rustls with ring. A handler that has an AWS configuration of its own passes
//! its Step Functions client to [`Client::new`]:
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
    ChannelRef, Email, ErrorName, InvalidField, Kind, MessageTs, Visibility, outcome,
    request::Operation,
};
pub use client::Client;
pub use error::{ConfigError, Failure, StartError, WaitError};
pub use execution::Execution;
pub use name::{ExecutionName, NameError};
pub use request::{
    ChangeChannelMembers, CheckChannelExists, CreateChannel, DeleteChannel, Message,
    NotifyPrivateChannel, NotifyPublicChannel,
};
pub use state_machines::{FindError, StateMachineArn, StateMachines};

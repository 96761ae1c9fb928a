use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use apgl_client::{Client, StateMachines};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use serde_json::json;

use crate::logged;

/// A client that can start every workflow successfully.
///
/// # Panics
/// If `caller` is not a valid prefix of an execution's name.
pub fn client(caller: &str) -> Client {
    counting_client(caller).0
}

/// A client that can start every workflow successfully, and how many executions it has started.
///
/// # Panics
/// If `caller` is not a valid prefix of an execution's name.
pub fn counting_client(caller: &str) -> (Client, Arc<AtomicUsize>) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let http = infallible_client_fn(move |_: http::Request<SdkBody>| {
        counter.fetch_add(1, Ordering::Relaxed);
        let started = json!({ "executionArn": "arn", "startDate": 1.0 });
        http::Response::new(SdkBody::from(started.to_string()))
    });
    let machines = StateMachines::starting_with("arn:aws:states:us-east-1:1:stateMachine:apgl");
    let sfn = aws_sdk_sfn::Client::new(&fake_aws::config(http));
    let client = Client::new(sfn, machines.unwrap_or_default(), caller);
    (client.expect("the caller's name fits"), executions)
}

/// Returns the result of `work` and what it logs.
///
/// # Panics
/// If the runtime cannot be created.
pub fn run<T>(work: impl Future<Output = T>) -> (T, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the runtime can be created");
    logged(|| runtime.block_on(work))
}

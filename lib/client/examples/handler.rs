//! A Lambda function that notifies a channel about each event, without waiting for the result.
use apgl_client::{Client, NotifyPrivateChannel};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let notifications = &Client::from_env("example")?;
    run(service_fn(async move |event: LambdaEvent<Value>| {
        let event = event.payload;
        let text = |field: &str| event["detail"][field].as_str().unwrap_or_default();
        let request =
            NotifyPrivateChannel::new(text("channel"), text("news")).members([text("author")]);
        let key = event["id"].as_str().unwrap_or_default();
        let execution = notifications.notify_private_channel(key, &request).await?;
        Ok::<_, Error>(execution.arn().to_owned())
    }))
    .await
}

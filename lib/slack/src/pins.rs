use crate::{SlackClient, SlackError, conversations::Done};

impl SlackClient {
    /// Pins a message to its channel. Safe to repeat: Slack then refuses it with `already_pinned`.
    ///
    /// <https://docs.slack.dev/reference/methods/pins.add>
    pub async fn pins_add(&self, channel: &str, ts: &str) -> Result<(), SlackError> {
        let arguments = [("channel", channel), ("timestamp", ts)];
        let Done {} = self.call("pins.add", &arguments).await?;
        Ok(())
    }
}

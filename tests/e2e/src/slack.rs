//! Channels in the Slack sandbox, its faults and rate limits, and the calls that it received.

use apgl_rate_limit::{RateLimits, SlackClock};
use apgl_slack::quotas::quota_named;
use aws_sdk_dynamodb::types::AttributeValue;
use slack_sandbox::{
    Seed,
    admin::ChannelState,
    calls::Call,
    faults::{Effect, Fault, How},
    seed::ChannelSeed,
    server::ChannelChange,
};

use crate::{RATE_LIMITS_TABLE, WAIT_SCALE, World};

const CHANNELS_TABLE: &str = "apgl-channels";

impl World {
    /// Changes the channel as a person could, without the bot's knowledge.
    pub async fn change_channel(&self, name: &str, change: ChannelChange) {
        let changed = self.sandbox.change_channel(name, &change).await;
        changed.expect("the channel is changed");
    }

    /// Adds a private channel with the bot and these members.
    pub async fn private_channel(&self, name: &str, members: &[&str]) -> ChannelState {
        let seed = ChannelSeed {
            is_private: true,
            members: members.iter().map(|email| (*email).to_owned()).collect(),
            ..ChannelSeed::default()
        };
        self.channel(name, seed).await
    }

    /// Adds a public channel with only the bot in it.
    pub async fn public_channel(&self, name: &str) -> ChannelState {
        self.channel(name, ChannelSeed::default()).await
    }

    /// Adds a channel that exists before the test. Because our table does not know the channel, also deletes the
    /// record of the last complete scan, as an operator can.
    pub async fn channel(&self, name: &str, seed: ChannelSeed) -> ChannelState {
        let channel = self.channel_by_a_person(name, seed).await;
        self.forget_scan().await;
        channel
    }

    /// Adds a channel as a person could, without the bot's knowledge.
    pub async fn channel_by_a_person(&self, name: &str, seed: ChannelSeed) -> ChannelState {
        let channel = ChannelSeed {
            name: name.to_owned(),
            ..seed
        };
        self.seed(Seed {
            channels: vec![channel],
            ..Seed::default()
        })
        .await;
        self.in_slack(name).await
    }

    /// Makes our table's entry for the channel so old that it is no longer trusted.
    pub async fn outlive_trust(&self, name: &str) {
        let aged = aws_sdk_dynamodb::Client::new(&self.aws)
            .update_item()
            .table_name(CHANNELS_TABLE)
            .key("name", AttributeValue::S(name.to_owned()))
            .condition_expression("attribute_exists(seenAt)")
            .update_expression("SET seenAt = :long_ago")
            .expression_attribute_values(":long_ago", AttributeValue::N("0".to_owned()))
            .send()
            .await;
        aged.expect("the table knows the channel");
    }

    /// Makes the next look-up of an unknown channel scan Slack's channels.
    pub async fn forget_scan(&self) {
        let deleted = aws_sdk_dynamodb::Client::new(&self.aws)
            .delete_item()
            .table_name(CHANNELS_TABLE)
            .key("name", AttributeValue::S("#scan".to_owned()))
            .send()
            .await;
        deleted.expect("the scan is forgotten");
    }

    /// Makes the next post to the channel wait for so many of Slack's seconds: others have reserved the time until
    /// then. A refusal as long as that would hold up the posts of all tests.
    pub async fn fill_queue(&self, channel_id: &str, seconds: u32) {
        let client = aws_sdk_dynamodb::Client::new(&self.aws);
        let limits = RateLimits::new(client, RATE_LIMITS_TABLE.to_owned());
        let quota = quota_named(&format!("chat.postMessage#{channel_id}"));
        let clock = SlackClock::with_scale(WAIT_SCALE).expect("it is a scale");
        let taken = limits.take(&quota, seconds, clock.now(), None).await;
        taken.expect("the table of rate limits is there");
    }

    pub async fn fault(&self, method: &str, argument: &str, value: &str, times: u64, how: How) {
        let fault = Fault::new(method, how)
            .only_where(argument, value)
            .times(times);
        self.sandbox
            .add_fault(&fault)
            .await
            .expect("the fault is armed");
    }

    /// The next post to the channel takes effect, but neither it nor the next looks for it get a response. A step that
    /// posts meanwhile is busy for 40 seconds: each call has 10.
    pub async fn hang_post(&self, channel_id: &str) {
        for (method, times) in [("chat.postMessage", 1), ("conversations.history", 3)] {
            let hang = How::Hang {
                millis: 60_000,
                effect: Effect::Done,
            };
            self.fault(method, "channel", channel_id, times, hang).await;
        }
    }

    pub async fn in_slack(&self, channel: &str) -> ChannelState {
        self.find_in_slack(channel)
            .await
            .expect("the channel is in Slack")
    }

    pub async fn find_in_slack(&self, channel: &str) -> Option<ChannelState> {
        self.sandbox
            .channel(channel)
            .await
            .expect("the sandbox answers")
    }

    /// The bot's direct message with the user with this id or address, if it was ever opened.
    pub async fn direct_message(&self, user: &str) -> Option<ChannelState> {
        let direct_message = self.sandbox.direct_message(user).await;
        direct_message.expect("the sandbox answers")
    }

    /// The texts of the bot's direct messages to the user with this id or address.
    pub async fn direct_messages(&self, user: &str) -> Vec<String> {
        self.direct_message(user).await.map_or_else(Vec::new, texts)
    }

    /// The texts of the channel's messages.
    pub async fn messages_in(&self, channel: &str) -> Vec<String> {
        texts(self.in_slack(channel).await)
    }

    /// The number of calls of the method to which Slack responded successfully.
    pub async fn call_count(&self, method: &str) -> usize {
        let calls = self.sandbox.calls().await.expect("the sandbox answers");
        let answered = |call: &&Call| call.method == method && call.status == 200;
        calls.iter().filter(answered).count()
    }

    /// The calls that have this text in their arguments.
    pub async fn calls_with(&self, text: &str) -> Vec<Call> {
        let calls = self.sandbox.calls().await.expect("the sandbox answers");
        calls
            .into_iter()
            .filter(|call| call.arguments.values().any(|value| value.contains(text)))
            .collect()
    }
}

fn texts(channel: ChannelState) -> Vec<String> {
    let messages = channel.messages.into_iter();
    messages.map(|message| message.text).collect()
}

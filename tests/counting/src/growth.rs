//! How a notification's work grows with its members, and with the channels of the workspace.

use std::time::Duration;

use local_stack::Project;
use serde_json::json;
use slack_sandbox::{
    Seed,
    seed::{ChannelSeed, Generate},
};

use crate::{Error, counter::Counter, work::Work};

pub const MEMBERS: [usize; 4] = [1, 10, 100, 1_000];
pub const CHANNELS: [usize; 3] = [100, 10_000, 100_000];

const MESSAGE: &str = "The content item is ready for your review.";
/// A hundred pages, twenty in a minute, and as many writes as there are channels.
const SCAN_AT_MOST: Duration = Duration::from_mins(30);

/// The work of notifications that are the same but for a size.
#[derive(Debug, Clone)]
pub struct Point {
    pub size: usize,
    /// The first notification.
    pub first: Work,
    /// The first to another channel. By members there is none.
    pub another: Option<Work>,
    /// The same again.
    pub repeated: Work,
}

/// By the members of a private channel: new ones, who have a profile and are in Slack. The workspace has
/// no other people.
pub async fn by_members(project: &Project) -> Result<Vec<Point>, Error> {
    let counter = Counter::start(project, "growth").await?;
    let points = of_members(&counter).await;
    counter.stop().await;
    points
}

async fn of_members(counter: &Counter) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for size in MEMBERS {
        let names = (0..size).map(|n| format!("person{n}of{size}"));
        let members = counter.settle(names).await?;
        let channel = format!("members-{size}");
        let request = json!({ "channelName": channel, "message": MESSAGE, "members": members });
        counter.rest().await?;
        let first = counter.count("notify-private-channel", &request).await?;
        counter.rest().await?;
        let repeated = counter.count("notify-private-channel", &request).await?;
        points.push(Point {
            size,
            first,
            another: None,
            repeated,
        });
    }
    Ok(points)
}

/// By the channels of the workspace: notifications to two public ones that nobody has looked for before.
pub async fn by_channels(project: &Project) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for size in CHANNELS {
        // What a scan has found, it has found for good: each size has a stack of its own.
        let counter = Counter::start(project, "growth").await?;
        let point = of_channels(&counter, size).await;
        counter.stop().await;
        points.push(point?);
    }
    Ok(points)
}

async fn of_channels(counter: &Counter, size: usize) -> Result<Point, Error> {
    let ours = ["news", "other-news"].map(|name| ChannelSeed {
        name: name.to_owned(),
        ..ChannelSeed::default()
    });
    let others = Seed {
        generate: Generate {
            channels: size - ours.len(),
            ..Generate::default()
        },
        ..Seed::default()
    };
    // Ours come last: who has found a channel on the first pages waits for no other page.
    counter.sandbox.seed(&others).await?;
    let ours = Seed {
        channels: ours.into(),
        ..Seed::default()
    };
    counter.sandbox.seed(&ours).await?;
    let request = |channel| json!({ "channelName": channel, "message": MESSAGE });
    let workflow = "notify-public-channel";
    let news = request("news");
    let first = counter.count_within(SCAN_AT_MOST, workflow, &news).await?;
    counter.rest().await?;
    let another = counter.count(workflow, &request("other-news")).await?;
    counter.rest().await?;
    Ok(Point {
        size,
        first,
        another: Some(another),
        repeated: counter.count(workflow, &news).await?,
    })
}

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
/// The time limit of a scan: a hundred pages at twenty a minute, and a write for each channel.
const SCAN_AT_MOST: Duration = Duration::from_mins(30);

/// The work of notifications that differ only in a size.
#[derive(Debug, Clone)]
pub struct Point {
    pub size: usize,
    /// The first notification.
    pub first: Work,
    /// The first one to another channel; `None` when growing by members.
    pub another: Option<Work>,
    /// The first notification again.
    pub repeated: Work,
}

/// Grows by the members of a private channel. All members are new, have a profile and are in Slack. The workspace
/// has no other people.
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

/// Grows by the channels of the workspace, with notifications to two public channels that nothing has looked up yet.
pub async fn by_channels(project: &Project) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for size in CHANNELS {
        // The results of a scan stay in the table, so each size needs a stack of its own.
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
    // Our channels come last: a notification that finds its channel on an early page does not wait for the others.
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

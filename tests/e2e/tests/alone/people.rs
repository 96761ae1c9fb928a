//! How people are looked up. Runs alone, because it counts calls of the whole stack.
#![allow(clippy::unwrap_used)]

use e2e::{World, unique};
use serde_json::json;

#[tokio::test]
async fn many_new_people_are_found_by_pages_and_a_few_by_single_calls() {
    let world = World::here();
    for (count, method) in [(30, "users.list"), (3, "users.lookupByEmail")] {
        let channel = unique("found");
        let people = world.people("found", count).await;
        let before = world.call_count(method).await;
        let request = json!({ "channelName": channel, "members": people });
        let ended = world.run("create-channel", &request).await;
        assert_eq!(ended.output()["members"]["invited"], json!(people));
        assert!(world.call_count(method).await > before);
        if method == "users.list" {
            for email in people {
                assert_eq!(world.calls_with(&email).await, []);
            }
        }
    }
}

//! Runs the real protocol in virtual time, with many executions that need channels at the same time.
//!
//! Slack, the table, the rate limiter and the scan are models. They allow and refuse the same calls as in
//! production. Each call takes some virtual time, so the executions interleave.
#![allow(clippy::unwrap_used)]

mod execution;
mod world;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};

use apgl_contract::{ErrorName, Recovery};
use apgl_directory::Found;
use apgl_rate_limit::gcra::Gcra;
use ensure_channel::protocol::{Workspace, ensure};
use futures_util::future::join_all;
use rstest::rstest;
use tokio::time::Instant;

use crate::{
    execution::Execution,
    world::{CREATE, LIST, Shared, World, quota},
};

/// `count` executions that need `names` channels, in a world where a scan reads `pages` pages.
fn executions(count: usize, names: usize, pages: u32) -> (Shared, Vec<Execution>) {
    let world = World {
        pages,
        ..World::default()
    };
    let (world, began) = (Rc::new(RefCell::new(world)), Instant::now());
    let execution = |n: usize| Execution {
        world: world.clone(),
        began,
        id: format!("execution-{n}"),
        name: format!("channel-{}", n % names),
    };
    let executions = (0..count).map(execution).collect();
    (world, executions)
}

fn two_executions() -> (Shared, [Execution; 2]) {
    let (world, executions) = executions(2, 1, 1);
    (world, executions.try_into().ok().unwrap())
}

#[rstest]
#[case::twenty_new_channels(400, 20)]
#[case::sixty_new_channels(600, 60)]
#[tokio::test(start_paused = true)]
async fn each_new_channel_takes_one_call_and_no_execution_waits_much_longer_than_slack_requires(
    #[case] count: usize,
    #[case] names: usize,
) {
    let (world, executions) = executions(count, names, 1);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    let ended: Vec<(Found, Duration)> = ended.into_iter().map(Result::unwrap).collect();
    let world = world.borrow();
    let calls = u32::try_from(names).unwrap();
    assert_eq!(world.taken, BTreeMap::from([(CREATE, calls)]));
    assert_eq!(world.claims, HashMap::new());
    let theory = quota(CREATE).interval * (calls - quota(CREATE).burst);
    let last = ended.iter().map(|(_, at)| *at).max().unwrap();
    assert!(
        last <= theory * 2,
        "took {last:?}; Slack's quota requires {theory:?}"
    );
    let makers = ended
        .iter()
        .filter_map(|(found, _)| found.created_by.as_ref());
    assert_eq!(makers.collect::<HashSet<_>>().len(), names);
}

#[tokio::test(start_paused = true)]
async fn executions_that_look_for_a_taken_name_wait_for_one_long_scan() {
    let (world, executions) = executions(10, 1, 70);
    let name = executions[0].name.clone();
    world.borrow_mut().slack.insert(name, UNIX_EPOCH);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    for ended in ended {
        let (found, at) = ended.unwrap();
        assert_eq!(found.created_by, None);
        assert!(at < Duration::from_mins(8), "{at:?}");
    }
    let world = world.borrow();
    assert_eq!(world.taken[CREATE], 1);
    assert!(world.taken[LIST] <= 80, "{} pages", world.taken[LIST]);
    assert_eq!(world.claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn executions_that_need_the_name_of_a_hidden_channel_all_end_after_one_long_scan() {
    let (world, executions) = executions(10, 1, 70);
    let name = executions[0].name.clone();
    world.borrow_mut().slack.insert(name.clone(), UNIX_EPOCH);
    world.borrow_mut().hidden.insert(name);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    for ended in ended {
        let error = ended.unwrap_err();
        assert_eq!(error.name(), ErrorName::ChannelNameTaken, "{error}");
    }
    let world = world.borrow();
    assert_eq!(world.taken[CREATE], 2);
    assert!(world.taken[LIST] <= 80, "{} pages", world.taken[LIST]);
}

/// 3,000 pages are three million channels.
#[rstest]
#[case::for_an_hour(1_200)]
#[case::for_hours(3_000)]
#[tokio::test(start_paused = true)]
async fn a_taken_name_is_created_once_and_scanned_for_once_however_long_the_scan(
    #[case] pages: u32,
) {
    let (world, executions) = executions(5, 1, pages);
    let name = executions[0].name.clone();
    world.borrow_mut().slack.insert(name, UNIX_EPOCH);
    let ended = join_all(executions.into_iter().map(Execution::run)).await;
    for ended in ended {
        assert_eq!(ended.unwrap().0.created_by, None);
    }
    let world = world.borrow();
    assert_eq!(world.taken[CREATE], 1);
    assert!(
        world.taken[LIST] < pages + 20,
        "{} pages",
        world.taken[LIST]
    );
    assert_eq!(world.claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_creator_that_got_no_response_keeps_its_channel_even_if_another_finds_it_first() {
    let (world, [creator, other]) = two_executions();
    let id = creator.id.clone();
    world.borrow_mut().lost_answers.insert(id.clone());
    let lost = ensure(&creator, &id).await.unwrap_err();
    assert_eq!(lost.name().recovery(), Recovery::Transient);
    // Meanwhile another execution's scan writes the channel into the table.
    other.find_by_scan(other.now()).await.unwrap();
    assert_eq!(other.run().await.unwrap().0.created_by, None);
    assert_eq!(creator.run().await.unwrap().0.created_by, Some(id));
    assert_eq!(world.borrow().claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn an_execution_recognises_its_own_channel_when_the_name_turns_out_to_be_taken() {
    let (world, [creator, other]) = two_executions();
    let id = creator.id.clone();
    world.borrow_mut().lost_answers.insert(id.clone());
    ensure(&creator, &id).await.unwrap_err();
    let (mine, theirs) = tokio::join!(creator.run(), other.run());
    assert_eq!(mine.unwrap().0.created_by, Some(id.clone()));
    let made_by = theirs.unwrap().0.created_by;
    assert!(made_by.is_none_or(|made_by| made_by == id));
    assert_eq!(world.borrow().claims, HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn an_execution_stopped_while_waiting_to_create_leaves_the_name_to_others() {
    let (world, [stopped, other]) = two_executions();
    // The quota is used up for ten minutes.
    let used_up = Gcra::default().after(&quota(CREATE), 210, stopped.millis());
    world.borrow_mut().quotas.insert(CREATE, used_up);
    ensure(&stopped, &stopped.id).await.unwrap_err();
    let id = other.id.clone();
    let (found, at) = other.run().await.unwrap();
    assert_eq!(found.created_by, Some(id));
    assert!(at < Duration::from_mins(12), "{at:?}");
}

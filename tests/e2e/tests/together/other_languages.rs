//! Runs the examples in `docs/other-languages.md` unchanged.
#![allow(clippy::unwrap_used)]

use std::{env, fs, iter, path::PathBuf, process::Stdio};

use apgl_client::{Client, ExecutionName, NotifyPrivateChannel, StateMachines};
use e2e::{World, unique};
use local_stack::{
    Project,
    execution::{state_machine_arn, state_machines},
    stack::point_at_local_aws,
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::process::Command;

/// The caller's name in each example.
const CALLER: &str = "my-service";
const WORKFLOW: &str = "notify-private-channel";

#[derive(Debug, Clone, Copy)]
enum Language {
    AwsCli,
    Python,
}
use Language::{AwsCli, Python};

/// The result of a script.
#[derive(Debug)]
struct Ran {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Language {
    /// The example's heading on the page, the language of its code blocks, and the program that runs them.
    fn on_the_page(self) -> (&'static str, &'static str, &'static str) {
        match self {
            AwsCli => ("AWS CLI", "bash", "bash"),
            Python => ("Python", "python", "python3"),
        }
    }

    /// Runs the first code block as the page describes. Its first output is the ARN.
    async fn start(self, world: &World, key: &str, request: &Value) -> Ran {
        let file = file(&serde_json::to_string_pretty(request).unwrap());
        self.run(world, 0, &[key, file.to_str().unwrap()]).await
    }

    /// Waits for the execution that `started` has printed, and returns what the example prints at its end.
    async fn wait(self, world: &World, started: Ran) -> Ran {
        match self {
            AwsCli => self.run(world, 1, &[started.arn()]).await,
            // The Python example waits right after it starts.
            Python => started,
        }
    }

    async fn run(self, world: &World, block: usize, arguments: &[&str]) -> Ran {
        let (heading, mark, interpreter) = self.on_the_page();
        let script = file(&blocks(heading, mark)[block]);
        let mut command = Command::new(interpreter);
        command
            .arg(script)
            .args(arguments)
            .env("PATH", path())
            .env("STATE_MACHINE_ARN", state_machine_arn(WORKFLOW))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        point_at_local_aws(&mut command, world.aws.endpoint_url().unwrap());
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            succeeded: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ran {
    fn arn(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }

    fn outcome(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        last.parse().unwrap_or_default()
    }
}

fn page() -> String {
    let page = Project::here().root.join("docs/other-languages.md");
    fs::read_to_string(page).unwrap()
}

/// The code blocks in this language under a heading of the page.
fn blocks(heading: &str, mark: &str) -> Vec<String> {
    let page = page();
    let mut sections = page.split("\n## ");
    let section = sections.find_map(|section| section.strip_prefix(&format!("{heading}\n")));
    let begin = format!("\n```{mark}\n");
    let begins = section.unwrap().split(&begin).skip(1);
    let block = |begin: &str| begin.split("\n```\n").next().unwrap_or_default().to_owned() + "\n";
    begins.map(block).collect()
}

/// Writes the text to a new file.
fn file(text: &str) -> PathBuf {
    let folder = Project::here().folder().join("other-languages");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(unique("file"));
    fs::write(&file, text).unwrap();
    file
}

/// The value of `PATH` with the project's own tools first.
fn path() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = iter::once(Project::here().venv().join("bin"));
    env::join_paths(tools.chain(env::split_paths(&path))).unwrap()
}

fn execution_arn(key: &str) -> String {
    let name = ExecutionName::from_key(CALLER, key).unwrap();
    let machine = state_machine_arn(WORKFLOW);
    format!(
        "{}:{name}",
        machine.replace(":stateMachine:", ":execution:")
    )
}

#[test]
fn the_page_shows_the_execution_name_that_the_client_makes() {
    let name = ExecutionName::from_key(CALLER, "event-4711").unwrap();
    let says = format!("For the caller `{CALLER}` and the key `event-4711` it is `{name}`.");
    assert!(page().contains(&says), "{says}");
}

#[rstest]
#[tokio::test]
async fn an_event_started_repeatedly_is_one_execution_and_one_message(
    #[values(AwsCli, Python)] language: Language,
) {
    let world = World::here();
    let (channel, ana) = (unique("page"), world.person("ana", Some(true)).await);
    // Characters that a shell or a format string could misinterpret.
    let key = unique("event %s \\n $HOME 'ä'");
    let message = "Your guide is *published*: “10 %”";
    let request = json!({ "channelName": channel, "message": message, "members": [ana] });

    let (first, second) = tokio::join!(
        language.start(&world, &key, &request),
        language.start(&world, &key, &request)
    );
    let ended = world.end_of(&execution_arn(&key)).await;
    // The execution has finished, and the result is still the same.
    let third = language.start(&world, &key, &request).await;
    for ran in [&first, &second, &third] {
        assert!(ran.succeeded, "{ran:?}");
        assert_eq!(ran.arn(), execution_arn(&key));
    }
    let waited = language.wait(&world, third).await;
    assert_eq!(waited.outcome(), *ended.output(), "{waited:?}");
    let in_slack = world.in_slack(&channel).await;
    assert_eq!(in_slack.messages.len(), 1);
    assert_eq!(in_slack.messages[0].text, message);
}

#[rstest]
#[tokio::test]
async fn the_same_key_with_another_message_is_a_conflict_and_posts_nothing(
    #[values(AwsCli, Python)] language: Language,
) {
    let world = World::here();
    let (channel, key) = (unique("page"), unique("event"));
    let request = |message: &str| json!({ "channelName": channel, "message": message });

    let first = language.start(&world, &key, &request("one")).await;
    assert!(first.succeeded, "{first:?}");
    let second = language.start(&world, &key, &request("two")).await;
    assert!(!second.succeeded, "{second:?}");
    let name = ExecutionName::from_key(CALLER, &key).unwrap();
    let says =
        format!("conflict: {name} was started with another request: the key is not unique\n");
    assert_eq!((second.stdout, second.stderr), (String::new(), says));
    world.end_of(&execution_arn(&key)).await.output();
    let messages = world.in_slack(&channel).await.messages;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].text, "one");
}

#[tokio::test]
async fn an_event_is_the_same_execution_in_every_language() {
    let world = World::here();
    let (channel, key) = (unique("page"), unique("event"));
    let in_rust = NotifyPrivateChannel::new(&channel, "hello");
    let request = serde_json::to_value(&in_rust).unwrap();

    // Each language serialises the same request differently.
    for language in [AwsCli, Python] {
        let started = language.start(&world, &key, &request).await;
        assert_eq!(started.arn(), execution_arn(&key), "{started:?}");
    }
    let machines = StateMachines::starting_with(&state_machines()).unwrap();
    let sfn = aws_sdk_sfn::Client::new(&world.aws);
    let client = Client::new(sfn, machines, CALLER).unwrap();
    let started = client.notify_private_channel(&key, &in_rust).await.unwrap();
    assert_eq!(started.arn(), execution_arn(&key));
    world.end_of(started.arn()).await.output();
    assert_eq!(world.in_slack(&channel).await.messages.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_waiting_caller_learns_how_an_execution_failed(
    #[values(AwsCli, Python)] language: Language,
) {
    let world = World::here();
    let request = json!({ "channelName": unique("page"), "message": "hi", "members": ["nobody"] });
    let started = language.start(&world, &unique("event"), &request).await;
    let waited = language.wait(&world, started).await;
    assert!(!waited.succeeded, "{waited:?}");
    assert_eq!(waited.stderr, "FAILED: InvalidRequest\n");
}

#[rstest]
#[tokio::test]
async fn an_empty_key_starts_nothing(#[values(AwsCli, Python)] language: Language) {
    let world = World::here();
    let channel = unique("page");
    let request = json!({ "channelName": channel, "message": "hello" });
    let refused = language.start(&world, "", &request).await;
    assert!(!refused.succeeded, "{refused:?}");
    assert!(refused.stderr.contains("key"), "{refused:?}");
    assert_eq!(refused.arn(), "");
    assert_eq!(world.find_in_slack(&channel).await, None);
}

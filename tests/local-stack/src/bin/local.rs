//! `cargo xtask local`: runs the local stack until it is stopped.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Parser;
use local_stack::{
    App, Endpoints, LocalStack, Project, Slack, StackOptions, people,
    stack::{ACCOUNT, client_environment},
};
use xtask::{
    arguments::Local,
    program::{self, Failure},
    progress,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    program::run_until_stopped(keep_up(Local::parse())).await
}

async fn keep_up(arguments: Local) -> Result<(), Failure> {
    let project = Project::with(arguments.build());
    // Changes made while the stack starts are deployed afterwards.
    let mut deployed = Sources::now(&project)?;
    let played_by = match (arguments.slack_url, arguments.slack_token) {
        (Some(url), Some(token)) => Slack::Url { url, token },
        _ => Slack::Sandbox {
            port: arguments.sandbox_port,
        },
    };
    let options = StackOptions {
        aws_port: arguments.aws_port,
        slack: played_by,
        wait_scale: arguments.wait_scale,
        context: arguments.context,
        ..StackOptions::new("local")
    };
    let starting = LocalStack::start(&project, options);
    let mut stack = progress::step("Starting and deploying the local stack", starting).await?;
    progress::step("Adding some people", people::seed(&stack)).await?;
    describe(&stack.endpoints);
    println!("ready");
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if stack.has_ended() {
            let log = stack.endpoints.ministack_log.display();
            return Err(
                format!("MiniStack has stopped unexpectedly; its output is in {log}").into(),
            );
        }
        if !arguments.watch {
            continue;
        }
        // Skips a folder that is just being replaced until the next look.
        let Ok(sources) = Sources::now(&project) else {
            continue;
        };
        if sources != deployed {
            // Changes made during the deployment are deployed the next time.
            deployed = sources;
            match deploy_again(&project, &mut stack).await {
                Ok(()) => println!("ready"),
                Err(failure) => eprintln!("\n{failure}\nNothing was deployed."),
            }
        }
    }
}

/// Builds and deploys what has changed. Executions keep running, and Slack keeps its state.
async fn deploy_again(project: &Project, stack: &mut LocalStack) -> Result<(), Failure> {
    let building = project.build_with_functions(&[]);
    progress::step("Building the changes", building).await?;
    let app = App::of(project);
    let updating = stack.update(&app);
    progress::step("Deploying the changes", updating).await
}

/// The modification times of the files that the deployment is built from.
#[derive(PartialEq, Eq)]
struct Sources(BTreeMap<PathBuf, SystemTime>);

impl Sources {
    const FOLDERS: [&str; 5] = ["cdk/bin", "cdk/lib", "functions", "lib", "statemachines"];

    fn now(project: &Project) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for folder in Self::FOLDERS {
            collect(&project.root.join(folder), &mut files)?;
        }
        Ok(Self(files))
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, SystemTime>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => collect(&path, files)?,
            Ok(found) => {
                files.insert(path, found.modified()?);
            }
            // An editor's temporary file, or a file that was just deleted.
            Err(_) => {}
        }
    }
    Ok(())
}

fn describe(endpoints: &Endpoints) {
    println!(
        "\nAWS        {}  (account {ACCOUNT}, Step Functions and all other services)",
        endpoints.aws
    );
    println!("Slack API  {}", endpoints.slack);
    if let Some(page) = &endpoints.sandbox {
        println!("Slack page {page}  (open it in a browser)");
    }
    if let Some(url) = &endpoints.mpc_requests {
        println!("MPC API    {url}  (the MPC service's handlers: docs/mpc-handlers.md)");
    }
    println!("\nFor an AWS client:");
    for (name, value) in client_environment(&endpoints.aws) {
        println!("  export {name}={value}");
    }
    if let Some(url) = &endpoints.mpc_requests {
        println!("  export MPC_REQUESTS_URL={url}");
    }
    println!("\nPress Ctrl-C to stop everything.");
}

//! MiniStack, the sandbox and the deployed CDK app, as one value.

use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use slack_sandbox::{Admin, Options, Sandbox, Seed, seed::TokenSeed};
use tokio::process::Command;
pub use xtask::ministack::{ACCESS_KEY, REGION, client_environment};
use xtask::{ministack, process::Server};

use crate::{
    Error, Project,
    deployment::{App, Deployment, Outputs},
    function_logs,
};

/// The sandbox's token.
pub const TOKEN: &str = "xoxb-sandbox";
pub const ACCOUNT: &str = "000000000000";
/// The public channel for news of content bounties. It must be created by hand.
pub const BOUNTY_CHANNEL: &str = "content-bounties";

/// The options of a stack.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// MiniStack's port on 127.0.0.1; 0 for any free port.
    pub aws_port: u16,
    pub slack: Slack,
    /// How long one second of a workflow's `Wait` or retry lasts, in seconds.
    pub wait_scale: f64,
    /// Whether executions share Slack's rate limits.
    pub rate_limiter: bool,
    /// Whether the MPC service's handlers are deployed too.
    pub mpc_handlers: bool,
    /// Settings of the deployment, in addition to those that the local stack needs.
    pub context: Vec<(String, String)>,
    /// The name of this stack's logs and files, so that stacks do not share them.
    pub name: String,
    /// What the functions use in place of the real AWS.
    pub detour: Detour,
    /// The app to deploy, if it is not this checkout's.
    pub app: Option<App>,
}

/// What a fault test puts between the functions and the other parts.
#[derive(Debug, Clone, Default)]
pub struct Detour {
    /// The AWS address for the functions.
    pub aws_url: Option<String>,
    /// Environment variables for every function.
    pub environment: Vec<(&'static str, String)>,
}

impl StackOptions {
    /// Uses the sandbox as Slack and free ports, without scaled waits.
    pub fn new(name: &str) -> Self {
        Self {
            aws_port: 0,
            slack: Slack::Sandbox { port: 0 },
            wait_scale: 1.0,
            rate_limiter: true,
            mpc_handlers: true,
            context: Vec::new(),
            name: name.to_owned(),
            detour: Detour::default(),
            app: None,
        }
    }
}

/// Where the stack finds Slack.
#[derive(Debug, Clone)]
pub enum Slack {
    /// The sandbox, on this port of 127.0.0.1 (0 for any free port). Its time is scaled like the workflows'.
    Sandbox { port: u16 },
    /// A real workspace, or another server with Slack's API.
    Url { url: String, token: String },
}

/// The addresses of the parts, for people and for other programs.
#[derive(Debug, Clone)]
pub struct Endpoints {
    pub aws: String,
    /// The API, not the web page.
    pub slack: String,
    /// The sandbox's web page, if the sandbox is used.
    pub sandbox: Option<String>,
    /// The HTTP API of the MPC service's request handler, if it is deployed.
    pub mpc_requests: Option<String>,
    pub ministack_log: PathBuf,
}

/// A running stack. Dropping it stops everything that it started.
#[derive(Debug)]
pub struct LocalStack {
    pub endpoints: Endpoints,
    pub aws: SdkConfig,
    ministack: Server,
    sandbox: Option<Sandbox>,
    deployment: Deployment,
    outputs: Outputs,
}

impl LocalStack {
    /// Starts and deploys everything. The tools must be installed and the functions built before.
    pub async fn start(project: &Project, options: StackOptions) -> Result<Self, Error> {
        let (slack_url, token, sandbox) = match &options.slack {
            Slack::Url { url, token } => (url.clone(), token.clone(), None),
            Slack::Sandbox { port } => {
                let sandbox = start_sandbox(*port, options.wait_scale).await?;
                (
                    format!("{}/api", sandbox.url()),
                    TOKEN.to_owned(),
                    Some(sandbox),
                )
            }
        };
        let folder = project.folder().join(&options.name);
        fs::create_dir_all(&folder).map_err(Error::io(folder.display()))?;
        let aws_port = ministack::free_port(options.aws_port)?;
        let aws_url = ministack::url(aws_port);
        let app = options.app.clone();
        let app = app.unwrap_or_else(|| App::of(project));
        let deployment = Deployment::new(project, options.clone(), &aws_url, &slack_url);
        let ministack = async {
            let ministack = start_ministack(project, &options, aws_port).await?;
            deployment.bootstrap().await?;
            Ok(ministack)
        };
        let (ministack, ()) = tokio::try_join!(ministack, deployment.synth(&app))?;
        let outputs = deployment.deploy().await?;
        let aws = aws_config(&aws_url);
        // Uses the path form of the API's address, because not every resolver knows MiniStack's host name for an API.
        let mpc_requests = outputs.apgl_mpc_handlers.as_ref().map(|handlers| {
            format!(
                "{aws_url}/_aws/execute-api/{}",
                handlers.mpc_requests_api_id
            )
        });
        let stack = Self {
            endpoints: Endpoints {
                aws: aws_url,
                slack: slack_url,
                sandbox: sandbox.as_ref().map(Sandbox::url),
                mpc_requests,
                ministack_log: ministack.log.clone(),
            },
            aws,
            ministack,
            sandbox,
            deployment,
            outputs,
        };
        stack.put_token(&token).await?;
        Ok(stack)
    }

    /// A client for the sandbox's admin routes, if the sandbox is used.
    pub fn sandbox(&self) -> Option<Admin> {
        self.sandbox
            .as_ref()
            .map(|sandbox| Admin::new(sandbox.url()))
    }

    /// Whether MiniStack has ended unexpectedly.
    pub fn has_ended(&mut self) -> bool {
        self.ministack.has_ended()
    }

    /// Writes the functions' log lines to a file, because MiniStack keeps them only in memory.
    pub async fn save_function_logs(&self, file: &Path) -> Result<(), Error> {
        let lines = function_logs(&self.aws).await?;
        fs::write(file, lines.join("\n") + "\n").map_err(Error::io(file.display()))
    }

    pub async fn stop(mut self) {
        self.ministack.stop().await;
    }

    /// Deploys another version over the existing one. Running executions continue.
    pub async fn update(&mut self, app: &App) -> Result<(), Error> {
        self.outputs = self.deployment.update(app).await?;
        Ok(())
    }

    /// Destroys the deployment. AWS and Slack keep running.
    pub async fn destroy(&self) -> Result<(), Error> {
        self.deployment.destroy().await
    }

    /// Stores a token in the secret, as an operator would.
    pub async fn put_token(&self, token: &str) -> Result<(), Error> {
        aws_sdk_secretsmanager::Client::new(&self.aws)
            .put_secret_value()
            .secret_id(&self.outputs.apgl_notifications.slack_api_token_secret_name)
            .secret_string(token)
            .send()
            .await
            .map_err(|error| Error::aws("storing the token")(error.into()))?;
        Ok(())
    }

    pub fn user_profiles_table(&self) -> &str {
        &self.outputs.apgl_notifications.user_profiles_table_name
    }
}

/// Writes a user profile, as the library's back end would. `None` leaves the preference out.
pub async fn put_profile(
    aws: &SdkConfig,
    table: &str,
    email: &str,
    wants_slack: Option<bool>,
) -> Result<(), Error> {
    let preferences: HashMap<String, AttributeValue> = wants_slack
        .map(|wanted| ("slack".to_owned(), AttributeValue::Bool(wanted)))
        .into_iter()
        .collect();
    aws_sdk_dynamodb::Client::new(aws)
        .put_item()
        .table_name(table)
        .item("email", AttributeValue::S(email.to_lowercase()))
        .item("notificationPreferences", AttributeValue::M(preferences))
        .send()
        .await
        .map_err(|error| Error::aws("writing a user profile")(error.into()))?;
    Ok(())
}

/// The configuration of an AWS client for a local stack.
///
/// # Panics
/// If `SSL_CERT_FILE` is set to an invalid file.
pub fn aws_config(endpoint_url: &str) -> SdkConfig {
    apgl_aws::config(
        REGION.to_owned(),
        Some(endpoint_url.to_owned()),
        credentials(),
    )
    .expect("the trusted certificates can be read")
}

/// The credentials of the local AWS's administrator.
pub(crate) fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local stack")
}

async fn start_sandbox(port: u16, time_factor: f64) -> Result<Sandbox, Error> {
    let seed = Seed {
        tokens: vec![TokenSeed::new(TOKEN)],
        ..Seed::default()
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(Sandbox::start(Options {
        listen,
        seed,
        time_factor,
        limits: true,
    })
    .await?)
}

async fn start_ministack(
    project: &Project,
    options: &StackOptions,
    port: u16,
) -> Result<Server, Error> {
    let mut environment = vec![("SFN_WAIT_SCALE", options.wait_scale.to_string())];
    environment.extend(options.detour.environment.iter().cloned());
    if let Some(url) = &options.detour.aws_url {
        // MiniStack passes this variable on to the functions and does not use it itself.
        environment.push(("AWS_ENDPOINT_URL", url.clone()));
    }
    Ok(ministack::start(project, &options.name, port, &environment).await?)
}

/// Points a program at the local stack, whatever AWS settings its environment has.
pub fn point_at_local_aws(program: &mut Command, url: &str) {
    program.envs(client_environment(url));
    for inherited in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"] {
        program.env_remove(inherited);
    }
}

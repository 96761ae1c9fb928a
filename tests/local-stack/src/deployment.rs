//! Deploys and destroys the CDK app with CDK's own command line, as on AWS.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::process::Command;
use xtask::process::{command, run_to_log};

use crate::{
    Error, Project, StackOptions,
    stack::{ACCOUNT, BOUNTY_CHANNEL, REGION, point_at_local_aws},
};

/// A version of the project: its CDK app, and the functions built from it.
#[derive(Debug, Clone)]
pub struct App {
    pub cdk: PathBuf,
    pub functions: PathBuf,
}

/// The outputs of `cdk deploy`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Outputs {
    pub apgl_notifications: NotificationsOutputs,
    pub apgl_mpc_handlers: Option<MpcHandlersOutputs>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotificationsOutputs {
    pub user_profiles_table_name: String,
    pub slack_api_token_secret_name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MpcHandlersOutputs {
    pub mpc_requests_api_id: String,
}

/// The target and the options of a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    project: Project,
    options: StackOptions,
    aws_url: String,
    slack_url: String,
}

impl Deployment {
    pub fn new(project: &Project, options: StackOptions, aws_url: &str, slack_url: &str) -> Self {
        Self {
            project: project.clone(),
            options,
            aws_url: aws_url.to_owned(),
            slack_url: slack_url.to_owned(),
        }
    }

    /// Deploys an app over the existing deployment.
    pub async fn update(&self, app: &App) -> Result<Outputs, Error> {
        self.synth(app).await?;
        self.deploy().await
    }

    /// Destroys the last deployment.
    pub async fn destroy(&self) -> Result<(), Error> {
        let mut destroy = self.cdk(&self.project.cdk(), &self.folder());
        destroy
            .args(["destroy", "--all", "--force", "--app"])
            .arg(self.assembly());
        Ok(run_to_log("cdk destroy", &mut destroy, &self.log("destroy")).await?)
    }

    /// Synthesises the templates, which does not need AWS.
    pub async fn synth(&self, app: &App) -> Result<(), Error> {
        let mut synth = self.cdk(&app.cdk, &app.cdk);
        synth.args(["synth", "--quiet", "--output"]);
        synth.arg(self.assembly());
        // Skips validation against CloudFormation's schemas: loading them takes half of the time, and the CDK tests
        // validate too.
        synth.env("CDK_VALIDATION", "false");
        for (key, value) in self.context(app) {
            synth.arg("--context").arg(format!("{key}={value}"));
        }
        Ok(run_to_log("cdk synth", &mut synth, &self.log("synth")).await?)
    }

    /// Bootstraps the account for CDK.
    pub async fn bootstrap(&self) -> Result<(), Error> {
        let mut bootstrap = self.cdk(&self.project.cdk(), &self.folder());
        bootstrap
            .arg("bootstrap")
            .arg(format!("aws://{ACCOUNT}/{REGION}"));
        Ok(run_to_log("cdk bootstrap", &mut bootstrap, &self.log("bootstrap")).await?)
    }

    /// Deploys the templates that were synthesised last.
    pub async fn deploy(&self) -> Result<Outputs, Error> {
        let outputs = self.folder().join("outputs.json");
        let mut deploy = self.cdk(&self.project.cdk(), &self.folder());
        deploy
            .args(["deploy", "--all", "--require-approval", "never", "--app"])
            .arg(self.assembly());
        deploy.arg("--outputs-file").arg(&outputs);
        run_to_log("cdk deploy", &mut deploy, &self.log("deploy")).await?;
        let json = fs::read(&outputs).map_err(Error::io(outputs.display()))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::Setup(format!("{}: {error}", outputs.display())))
    }

    /// The CDK command line that the app has installed.
    fn cdk(&self, app: &Path, folder: &Path) -> Command {
        let mut cdk = command(
            app.join("node_modules/.bin/cdk"),
            &self.project.venv(),
            folder,
        );
        point_at_local_aws(&mut cdk, &self.aws_url);
        cdk.env("CDK_DISABLE_CLI_TELEMETRY", "true")
            .arg("--no-notices");
        cdk
    }

    fn folder(&self) -> PathBuf {
        self.project.folder().join(&self.options.name)
    }

    fn assembly(&self) -> PathBuf {
        self.folder().join("cdk.out")
    }

    fn log(&self, what: &str) -> PathBuf {
        let name = &self.options.name;
        self.project.logs().join(format!("{name}-{what}.log"))
    }

    fn context(&self, app: &App) -> BTreeMap<String, String> {
        let options = &self.options;
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        let mut context = vec![
            app.local_environment(),
            ("architecture", architecture.to_owned()),
            ("slackApiUrl", self.slack_url.clone()),
            ("functionsDir", app.functions.display().to_string()),
            ("timeScale", options.wait_scale.to_string()),
            ("mpcHandlers", options.mpc_handlers.to_string()),
            ("bountyChannel", BOUNTY_CHANNEL.to_owned()),
        ];
        // An app from before this setting has another name for it, and the same default.
        if !options.rate_limiter {
            context.push(("rateLimiter", false.to_string()));
        }
        let context = context.into_iter();
        let context = context.map(|(name, value)| (name.to_owned(), value));
        context.chain(options.context.clone()).collect()
    }
}

impl App {
    /// This checkout's app.
    pub fn of(project: &Project) -> Self {
        Self {
            cdk: project.cdk(),
            functions: project.functions(),
        }
    }

    /// Version 0.1.0 did not have environments yet.
    fn local_environment(&self) -> (&'static str, String) {
        if self.cdk.join("lib/environments.ts").exists() {
            ("environment", "local".to_owned())
        } else {
            ("local", "true".to_owned())
        }
    }
}

//! The token: whether Slack accepts it, and which scopes it has.

use std::{collections::BTreeSet, sync::Arc};

use apgl_slack::{DEFAULT_API_URL, FixedToken, SlackClient, SlackError, SlackToken};
use aws_sdk_cloudformation::types::Stack;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use serde_json::Value;

use super::{finding::Finding, stack::output, threads};
use crate::{
    deployment::{Deployment, refused},
    report::Failure,
};

/// The manifest of the Slack app.
const MANIFEST: &str = include_str!("../../../slack/manifest.json");

/// Checks the secret, and whether Slack accepts the token in it. The token itself is never shown.
pub(super) async fn check(deployment: &Deployment, stack: &Stack, deep: bool) -> Vec<Finding> {
    let default = format!("{}/slack-api-token", deployment.prefix);
    let secret = output(stack, "SlackApiTokenSecretName").unwrap_or(&default);
    let store = format!(
        "store the bot token: printf %s \"$SLACK_TOKEN\" | aws secretsmanager put-secret-value \
         --secret-id {secret} --secret-string file:///dev/stdin"
    );
    let secrets = aws_sdk_secretsmanager::Client::new(&deployment.aws);
    let value = match secrets.get_secret_value().secret_id(secret).send().await {
        Ok(value) => value,
        Err(error) => {
            let is_empty = error
                .as_service_error()
                .is_some_and(GetSecretValueError::is_resource_not_found_exception);
            if is_empty {
                return vec![Finding::bad(format!("token: {secret} is empty"), store)];
            }
            let failure = refused("GetSecretValue", &error);
            return vec![Finding::unchecked("token", &failure)];
        }
    };
    let token = match SlackToken::new(value.secret_string().unwrap_or_default()) {
        Ok(token) => token,
        Err(error) => {
            let what = format!("token: {secret} does not contain a Slack token: {error}");
            return vec![Finding::bad(what, store)];
        }
    };
    let url = match slack_api_url(deployment).await {
        Ok(url) => url,
        // The token is sent only to the URL that the functions use.
        Err(failure) => return vec![Finding::unchecked("token", &failure)],
    };
    let Ok(url) = url.parse() else {
        return vec![Finding::bad(
            format!("Slack: {url} is not a valid URL"),
            "deploy again with a valid slackApiUrl",
        )];
    };
    let client = match SlackClient::new(url, Arc::new(FixedToken(token))) {
        Ok(client) => client,
        Err(error) => return vec![Finding::unchecked("token", &Failure::input(error))],
    };
    match client.auth_test().await {
        Ok(auth) if auth.bot_id.is_none() => vec![Finding::bad(
            "token: Slack accepts it, but it is not a bot's: the system would not recognise its own messages, and \
             could post them twice",
            format!("take the Bot User OAuth Token of the Slack app (xoxb-…), and {store}"),
        )],
        Ok(auth) => {
            let mut findings = vec![
                Finding::good(format!(
                    "token: accepted by Slack, for the workspace {}",
                    auth.team
                )),
                scopes(auth.scopes.as_ref()),
            ];
            if deep {
                findings.push(threads::check(&client).await);
            }
            findings
        }
        Err(error @ SlackError::Unauthorized { .. }) => vec![Finding::bad(
            format!("token: {error}"),
            format!("install the Slack app again, or {store}"),
        )],
        Err(error) => vec![Finding::warning(
            format!("token not checked: {error}"),
            "check again when Slack can be reached from here",
        )],
    }
}

/// The Slack URL that the functions use.
async fn slack_api_url(deployment: &Deployment) -> Result<String, Failure> {
    let mut environment = deployment.environment_of("post-message").await?;
    let url = environment.remove("SLACK_API_URL");
    Ok(url.unwrap_or_else(|| DEFAULT_API_URL.to_owned()))
}

fn scopes(granted: Option<&BTreeSet<String>>) -> Finding {
    let Some(granted) = granted else {
        return Finding::warning(
            "scopes: Slack does not say which scopes the token has",
            "compare the app's scopes with slack/manifest.json",
        );
    };
    let needed = scopes_of_the_manifest();
    let listed = |scopes: &mut dyn Iterator<Item = &String>| {
        let scopes: Vec<&str> = scopes.map(String::as_str).collect();
        scopes.join(", ")
    };
    let missing = listed(&mut needed.difference(granted));
    if !missing.is_empty() {
        return Finding::bad(
            format!("scopes: {missing} missing"),
            "add them to the Slack app (slack/manifest.json lists all), and install it again",
        );
    }
    let needless = listed(&mut granted.difference(&needed));
    if !needless.is_empty() {
        return Finding::warning(
            format!("scopes: {needless} not needed"),
            "remove them from the Slack app, and install it again",
        );
    }
    Finding::good("scopes: as in the manifest")
}

fn scopes_of_the_manifest() -> BTreeSet<String> {
    let manifest: Value = MANIFEST.parse().unwrap_or_default();
    let scopes = manifest.pointer("/oauth_config/scopes/bot").cloned();
    serde_json::from_value(scopes.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::finding::Verdict;

    #[rstest]
    #[case(&[], Verdict::Good, "as in the manifest")]
    #[case(&["-chat:write", "-users:read"], Verdict::Bad, "chat:write, users:read missing")]
    #[case::app_of_an_earlier_release(
        &["-im:write", "-im:history", "-pins:write"],
        Verdict::Bad,
        "im:history, im:write, pins:write missing"
    )]
    #[case(&["admin"], Verdict::Warning, "admin not needed")]
    fn a_tokens_scopes_are_compared_with_the_manifest(
        #[case] changes: &[&str],
        #[case] verdict: Verdict,
        #[case] expected: &str,
    ) {
        let mut granted = scopes_of_the_manifest();
        assert!(granted.contains("chat:write"));
        for change in changes {
            match change.strip_prefix('-') {
                Some(scope) => granted.remove(scope),
                None => granted.insert((*change).to_owned()),
            };
        }
        let finding = scopes(Some(&granted));
        assert_eq!(finding.verdict, verdict);
        assert_eq!(finding.what, format!("scopes: {expected}"));
        let advice = finding.advice.unwrap_or_default();
        assert_eq!(
            advice.contains("install it again"),
            verdict != Verdict::Good
        );
    }
}

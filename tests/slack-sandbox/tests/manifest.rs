//! The Slack app's manifest, which the sandbox and a real workspace share.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use slack_sandbox::seed::ALL_SCOPES;

fn manifest() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../slack/manifest.json");
    fs::read_to_string(file).unwrap().parse().unwrap()
}

#[test]
fn the_app_requests_the_scopes_that_the_sandbox_grants() {
    let scopes = manifest()["oauth_config"]["scopes"]["bot"].clone();
    let scopes: BTreeSet<String> = serde_json::from_value(scopes).unwrap();
    assert_eq!(scopes, ALL_SCOPES.map(str::to_owned).into());
    assert!(manifest()["oauth_config"]["scopes"]["user"].is_null());
}

/// Without its messages tab, an app can't write to people: chat.postMessage then fails with `messages_tab_disabled`.
/// Nobody reads what people write there, so they can't.
#[test]
fn people_get_the_apps_messages_in_its_messages_tab_and_cannot_answer() {
    let app_home = manifest()["features"]["app_home"].clone();
    assert_eq!(
        app_home,
        json!({
            "home_tab_enabled": false,
            "messages_tab_enabled": true,
            "messages_tab_read_only_enabled": true,
        })
    );
}

#[test]
fn the_texts_stay_within_slacks_limits() {
    let manifest = manifest();
    for (place, most) in [
        ("/display_information/name", 35),
        ("/display_information/description", 140),
        ("/features/bot_user/display_name", 80),
    ] {
        let text = manifest.pointer(place).unwrap().as_str().unwrap();
        assert!(!text.is_empty() && text.chars().count() <= most, "{place}");
    }
}

#[test]
fn the_app_does_not_rotate_its_token() {
    let settings = &manifest()["settings"];
    for off in [
        "token_rotation_enabled",
        "socket_mode_enabled",
        "org_deploy_enabled",
    ] {
        assert_eq!(settings[off], false, "{off}");
    }
}

//! How users are found, and which of their details are shown.

use jiff::{Timestamp, tz::TimeZone};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::server::UserChange;

use crate::slack::{Slack, error};

#[rstest]
#[case("ana@example.com", "ok")]
#[case("Ana@Example.com", "ok")]
#[case("gone@example.com", "users_not_found")]
#[case("nobody@example.com", "users_not_found")]
#[case("", "invalid_arguments")]
#[tokio::test]
async fn people_are_found_by_address_while_they_are_active(
    #[case] email: &str,
    #[case] expected: &str,
) {
    let slack = Slack::start().await;
    assert_eq!(
        error(&slack.call("users.lookupByEmail", &[("email", email)]).await),
        expected
    );
}

#[tokio::test]
async fn a_users_address_is_shown_only_with_the_scope() {
    let slack = Slack::start().await;
    let info = slack.call("users.info", &[("user", "UGUEST")]).await;
    assert_eq!(
        (
            &info["user"]["is_restricted"],
            &info["user"]["profile"]["email"]
        ),
        (&json!(true), &json!("guest@example.com"))
    );
    let poor = slack
        .call_as("xoxb-poor", "users.info", &[("user", "UGUEST")])
        .await;
    assert!(poor["user"]["profile"]["email"].is_null());
    assert_eq!(
        error(&slack.call("users.info", &[("user", "UNOBODY")]).await),
        "user_not_found"
    );
    assert_eq!(
        slack.call("users.list", &[]).await["members"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn an_active_user_has_a_time_zone() {
    let slack = Slack::start().await;
    let active = slack.call("users.info", &[("user", "UBOB")]).await;
    assert_eq!(active["user"]["tz"], "Europe/Berlin");
    let deactivated = slack.call("users.info", &[("user", "UGONE")]).await;
    assert!(deactivated["user"]["tz"].is_null());
    assert!(active["user"]["locale"].is_null());
    let arguments = [("user", "UBOB"), ("include_locale", "true")];
    let info = slack.call("users.info", &arguments).await;
    assert_eq!(info["user"]["locale"], "en-US");
}

fn change_of(tz: &str) -> UserChange {
    UserChange {
        tz: Some(tz.to_owned()),
        ..UserChange::default()
    }
}

/// These zones don't change their clocks.
#[rstest]
#[case("Etc/UTC", "Coordinated Universal Time", 0)]
#[case("Asia/Kolkata", "India Standard Time", 19_800)]
#[case("Asia/Shanghai", "China Standard Time", 28_800)]
#[case("America/Phoenix", "Mountain Standard Time", -25_200)]
#[case("America/Costa_Rica", "Central Standard Time", -21_600)]
#[case("America/Argentina/Buenos_Aires", "Buenos Aires Time", -10_800)]
#[tokio::test]
async fn a_time_zone_is_shown_with_its_long_name_and_its_offset(
    #[case] tz: &str,
    #[case] label: &str,
    #[case] offset: i32,
) {
    let slack = Slack::start().await;
    let change = change_of(tz);
    slack.admin.change_user("UANA", &change).await.unwrap();
    let found = [("email", "ana@example.com")];
    let found = slack.call("users.lookupByEmail", &found).await;
    let info = slack.call("users.info", &[("user", "UANA")]).await;
    let list = slack.call("users.list", &[]).await;
    let members = list["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["id"] == "UANA");
    for user in [&found["user"], &info["user"], member.unwrap()] {
        let shown = ["tz", "tz_label", "tz_offset"].map(|field| &user[field]);
        let expected: [Value; 3] = [json!(tz), json!(label), json!(offset)];
        assert_eq!(shown, expected.each_ref());
    }
}

#[tokio::test]
async fn a_time_zones_name_and_offset_are_those_of_the_season() {
    let slack = Slack::start().await;
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    loop {
        let before = zone.to_offset(Timestamp::now());
        let info = slack.call("users.info", &[("user", "UBOB")]).await;
        if before != zone.to_offset(Timestamp::now()) {
            continue;
        }
        let label = if before.seconds() == 3_600 {
            "Central European Time"
        } else {
            "Central European Summer Time"
        };
        assert_eq!(info["user"]["tz_label"], label);
        assert_eq!(info["user"]["tz_offset"], before.seconds());
        return;
    }
}

//! The messages as Slack receives them.
#![allow(clippy::unwrap_used)]

use apgl_templates::{
    BountyState, ContentBounty, ContentItem, Link, PersonName, Rendered, Reward, Title,
};
use rstest::rstest;
use serde_json::{Value, json};

const CONTENT_STATES: [&str; 6] = [
    "submitted",
    "in_review",
    "changes_requested",
    "approved",
    "published",
    "withdrawn",
];
const BOUNTY_STATES: [&str; 4] = ["posted", "claimed", "awarded", "expiring"];

#[rstest]
#[case("submitted")]
#[case("in_review")]
#[case("changes_requested")]
#[case("approved")]
#[case("published")]
#[case("withdrawn")]
fn content_is_rendered_in_each_state(#[case] state: &str) {
    let rendered = content(json!({
        "title": "Rust on Lambda",
        "link": "https://library.example/rust-on-lambda",
        "state": state,
        "actor": "Ana",
        "dueDate": "2026-11-25",
    }));
    assert_snapshot(&format!("content_{state}"), &rendered);
}

#[rstest]
#[case("posted")]
#[case("claimed")]
#[case("awarded")]
#[case("expiring")]
fn a_bounty_is_rendered_in_each_state(#[case] state: &str) {
    let rendered = bounty(json!({
        "title": "Rust on Lambda",
        "link": "https://library.example/bounties/7",
        "state": state,
        "actor": "Ana",
        "dueDate": "2026-11-25",
        "reward": "500 USD",
    }));
    assert_snapshot(&format!("bounty_{state}"), &rendered);
}

#[test]
fn beside_a_card_each_state_of_content_is_one_line() {
    let lines = CONTENT_STATES.map(|state| item(state).render_short());
    insta::assert_snapshot!("content_short", lines.join("\n"));
}

#[test]
fn beside_a_card_each_state_of_a_bounty_is_one_line() {
    let lines = BOUNTY_STATES.map(|state| {
        let bounty: ContentBounty = serde_json::from_value(json!({
            "title": "Rust on Lambda",
            "link": "https://library.example/bounties/7",
            "state": state,
            "actor": "Ana",
            "dueDate": "2026-11-25",
            "reward": "500 USD",
        }))
        .unwrap();
        bounty.render_short()
    });
    insta::assert_snapshot!("bounty_short", lines.join("\n"));
}

#[test]
fn a_card_has_the_due_date_of_content_in_a_place_of_its_own() {
    assert_eq!(item("in_review").facts(), ["Review started by Ana"]);
    assert_eq!(item("approved").facts(), ["Approved by Ana"]);
    assert_eq!(
        item("approved").next_step(),
        "The article passed its review and will be published. There is nothing left for you to do."
    );
}

#[test]
fn a_cards_facts_about_a_bounty_say_until_when_it_is_open_and_what_its_author_gets() {
    let bounty: ContentBounty = serde_json::from_value(json!({
        "title": "Rust on Lambda", "link": "https://library.example/bounties/7", "state": "posted",
        "actor": "Ana", "dueDate": "2026-11-25", "reward": "500 <USD>",
    }))
    .unwrap();
    let facts = [
        "Posted by Ana",
        "Open until 25 November 2026",
        "Reward: 500 <USD>",
    ];
    assert_eq!(bounty.facts(), facts);
}

#[test]
fn a_state_is_named_as_in_the_data() {
    for state in CONTENT_STATES {
        assert_eq!(item(state).state.as_str(), state);
    }
    for state in BOUNTY_STATES {
        let read: BountyState = serde_json::from_value(json!(state)).unwrap();
        assert_eq!(read.as_str(), state);
    }
}

#[rstest]
#[case::mention("<!channel>", "&lt;!channel&gt;")]
#[case::end_of_the_link("a|b>c", "a|b&gt;c")]
#[case::escaped_already("&lt;!here&gt;", "&amp;lt;!here&amp;gt;")]
fn a_title_stays_in_the_link_of_one_line(#[case] title: &str, #[case] shown: &str) {
    let item: ContentItem = serde_json::from_value(json!({
        "title": title,
        "link": "https://library.example/?a=1&b=2|3",
        "state": "approved",
    }))
    .unwrap();
    let expected = format!("Approved: <https://library.example/?a=1&amp;b=2%7C3|{shown}>");
    assert_eq!(item.render_short(), expected);
}

#[rstest]
#[case("submitted")]
#[case("in_review")]
#[case("changes_requested")]
fn content_is_rendered_for_a_person_who_must_act(#[case] state: &str) {
    let rendered = item(state).render_to_person().unwrap();
    assert_snapshot(&format!("person_{state}"), &rendered);
}

#[rstest]
fn nobody_must_act_when_the_work_is_done(
    #[values("approved", "published", "withdrawn")] state: &str,
) {
    assert_eq!(item(state).render_to_person(), None);
    assert!(!item(state).state.asks_for_action());
}

#[test]
fn a_message_that_people_must_act_on_leaves_a_place_for_them() {
    let without = item("in_review").render(false);
    let with = item("in_review").render(true);
    assert_eq!(with.text, without.text);
    let facts = |rendered: &Rendered| rendered.blocks[1]["elements"][1]["elements"].clone();
    let [first, rest @ ..] = &facts(&with).as_array().unwrap().clone()[..] else {
        panic!("there are facts");
    };
    assert_eq!(json!(rest), facts(&without));
    assert_eq!(
        first["elements"],
        json!([{ "type": "text", "text": "Waiting for " }, { "type": "mentions" }])
    );
}

fn item(state: &str) -> ContentItem {
    serde_json::from_value(json!({
        "title": "Rust on Lambda",
        "link": "https://library.example/rust-on-lambda",
        "state": state,
        "actor": "Ana",
        "dueDate": "2026-11-25",
    }))
    .unwrap()
}

/// Sorts the fields, because their order depends on a feature of `serde_json` that other crates enable.
fn assert_snapshot(name: &str, rendered: &Rendered) {
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(name, rendered);
    });
}

#[test]
fn missing_fields_are_left_out() {
    let rendered = bounty(json!({
        "title": "Rust on Lambda",
        "link": "https://library.example/bounties/7",
        "state": "claimed",
    }));
    assert_eq!(
        rendered.text,
        "Bounty claimed: Rust on Lambda\n<https://library.example/bounties/7>"
    );
    assert_eq!(rendered.blocks[1]["elements"].as_array().unwrap().len(), 1);
}

#[rstest]
#[case::broadcast("<!channel>", "&lt;!channel&gt;")]
#[case::mention("<@U012AB3CD>", "&lt;@U012AB3CD&gt;")]
#[case::link("<https://evil.example|Read>", "&lt;https://evil.example|Read&gt;")]
#[case::closing_tag("</script>", "&lt;/script&gt;")]
#[case::escaped_already("&lt;!here&gt;", "&amp;lt;!here&amp;gt;")]
#[case::formatting("*_~`", "*_~`")]
#[case::json("\"}]", "\"}]")]
fn text_that_people_wrote_is_shown_literally(#[case] hostile: &str, #[case] in_text: &str) {
    let rendered = bounty(json!({
        "title": hostile,
        "link": "https://library.example/?a=1&b=2",
        "state": "posted",
        "actor": hostile,
        "reward": hostile,
    }));
    assert_eq!(
        rendered.text,
        format!(
            "Bounty posted: {in_text}\n\
             Posted by {in_text} · Reward: {in_text} · <https://library.example/?a=1&amp;b=2>"
        )
    );
    let [section, list] = rendered.blocks[1]["elements"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("a section and a list");
    };
    assert_eq!(
        section["elements"][0],
        json!({
            "type": "link",
            "url": "https://library.example/?a=1&b=2",
            "text": hostile,
            "style": { "bold": true },
        })
    );
    let facts: Vec<&Value> = list["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["elements"][0])
        .collect();
    assert_eq!(
        facts,
        [
            &json!({ "type": "text", "text": format!("Posted by {hostile}") }),
            &json!({ "type": "text", "text": format!("Reward: {hostile}") }),
        ]
    );
}

#[rstest]
#[case::line_feed("Rust\nApproved: everything", "Rust Approved: everything")]
#[case::tab("Rust\ton Lambda", "Rust on Lambda")]
#[case::right_to_left_override("Rust \u{202E}adbmaL no", "Rust adbmaL no")]
fn a_title_stays_in_its_place(#[case] title: &str, #[case] shown: &str) {
    let rendered = content(json!({
        "title": title,
        "link": "https://library.example/rust|on|lambda",
        "state": "submitted",
    }));
    assert_eq!(
        rendered.text,
        format!("Submitted for review: {shown}\n<https://library.example/rust%7Con%7Clambda>")
    );
}

#[test]
fn a_title_that_is_too_long_is_shortened() {
    let rendered = content(json!({
        "title": "x".repeat(100_000),
        "link": "https://library.example/",
        "state": "submitted",
    }));
    let title = rendered.blocks[1]["elements"][0]["elements"][0]["text"].as_str();
    let title = title.unwrap();
    assert!(title.ends_with("x…"), "{title}");
    assert_within_limits(&rendered);
}

#[rstest]
#[case::escaped_five_times_as_long("&")]
#[case::four_bytes("😀")]
fn the_longest_data_stays_within_slacks_limits(#[case] character: &str) {
    let data = |state: &str| {
        json!({
            "title": character.repeat(Title::MAX_CHARACTERS),
            "link": longest_link(),
            "state": state,
            "actor": character.repeat(PersonName::MAX_CHARACTERS),
            "dueDate": "2026-09-30",
        })
    };
    for state in CONTENT_STATES {
        assert_within_limits(&content(data(state)));
    }
    for state in BOUNTY_STATES {
        let mut data = data(state);
        data["reward"] = character.repeat(Reward::MAX_CHARACTERS).into();
        assert_within_limits(&bounty(data));
    }
}

/// A link with as many `&` as are allowed. Each is five characters when escaped.
fn longest_link() -> String {
    let start = "https://library.example/?";
    let room = Link::MAX_CHARACTERS - start.len();
    format!("{start}{}", "&".repeat(room / "&amp;".len()))
}

/// Source of the numbers: Slack's `chat.postMessage`, "Truncating content", and "Header block";
/// the total size that causes `msg_blocks_too_long` is not documented.
fn assert_within_limits(rendered: &Rendered) {
    assert!(rendered.text.chars().count() <= 4_000);
    assert!(rendered.blocks.len() <= 50);
    let header = rendered.blocks[0]["text"]["text"].as_str().unwrap();
    assert!(header.chars().count() <= 150);
    let blocks = serde_json::to_string(&rendered.blocks).unwrap();
    assert!(blocks.chars().count() <= 13_200);
}

#[test]
fn debug_shows_no_text() {
    let item: ContentItem = serde_json::from_value(json!({
        "title": "The secret plan",
        "link": "https://library.example/secret",
        "state": "submitted",
        "actor": "Secretary",
    }))
    .unwrap();
    let shown = format!("{item:?} {:?}", item.render(false));
    assert!(!shown.to_lowercase().contains("secret"), "{shown}");
}

fn content(data: Value) -> Rendered {
    serde_json::from_value::<ContentItem>(data)
        .unwrap()
        .render(false)
}

fn bounty(data: Value) -> Rendered {
    serde_json::from_value::<ContentBounty>(data)
        .unwrap()
        .render(false)
}

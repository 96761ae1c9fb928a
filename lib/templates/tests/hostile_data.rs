//! Data that is written to be misread.
#![allow(clippy::unwrap_used)]

use apgl_templates::{ContentBounty, ContentItem, Link, PersonName, Rendered, Reward, Title};
use hostile_input::{anything, config, leaks, markup, mutated, text};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use url::Url;

const LINK: &str = "https://library.example/rust?a=1&b=2";
const CONTENT_STATES: [&str; 6] = [
    "submitted",
    "in_review",
    "changes_requested",
    "approved",
    "published",
    "withdrawn",
];
const BOUNTY_STATES: [&str; 4] = ["posted", "claimed", "awarded", "expiring"];

/// One line about the first kind of data that reads it.
fn short(data: &Value) -> Option<String> {
    let item = serde_json::from_value(data.clone()).map(|item: ContentItem| item.render_short());
    let bounty =
        serde_json::from_value(data.clone()).map(|bounty: ContentBounty| bounty.render_short());
    item.or(bounty).ok()
}

/// Both kinds of data, of the first that reads it.
fn rendered(data: &Value) -> Option<Rendered> {
    let item = serde_json::from_value(data.clone()).map(|item: ContentItem| item.render(true));
    let bounty =
        serde_json::from_value(data.clone()).map(|bounty: ContentBounty| bounty.render(true));
    item.or(bounty).ok()
}

fn data(title: &str, actor: &str, reward: &str, link: &str, state: &str) -> Value {
    json!({
        "title": title, "link": link, "state": state, "actor": actor, "dueDate": "2026-11-25",
        "reward": reward,
    })
}

fn state() -> impl Strategy<Value = &'static str> {
    prop_oneof![select(&CONTENT_STATES[..]), select(&BOUNTY_STATES[..])]
}

/// A line that the templates accept but that is written to be misread.
fn line<Line: TryFrom<String>>() -> impl Strategy<Value = String> {
    let words = prop_oneof![3 => markup(), 1 => text()];
    words
        .prop_map(|words| {
            let words = words.replace(
                |c: char| c.is_control() || "\u{2028}\u{202e}\u{2067}".contains(c),
                "",
            );
            words.trim().chars().take(80).collect::<String>()
        })
        .prop_map(|line| line.trim().to_owned())
        .prop_filter("a line that shows something", |line| {
            Line::try_from(line.clone()).is_ok()
        })
}

fn link() -> impl Strategy<Value = String> {
    let start = select(
        &[
            "https://library.example/",
            "https://",
            "https://library.example/?a=1&b=",
        ][..],
    );
    (start, markup()).prop_map(|(start, rest)| format!("{start}{rest}"))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn text_that_people_wrote_stays_in_its_place(
        title in line::<Title>(), actor in line::<PersonName>(), reward in line::<Reward>(), state in state(),
    ) {
        let rendered = rendered(&data(&title, &actor, &reward, LINK, state)).unwrap();
        assert_in_place(&rendered, LINK)?;
        let shown = written(&rendered);
        prop_assert!(shown.iter().any(|text| *text == title), "{title:?} of {shown:?}");
        prop_assert!(shown.iter().any(|text| text.ends_with(&actor)), "{actor:?} of {shown:?}");
    }

    #[test]
    fn any_text_that_people_wrote_stays_in_its_place(
        title in text(), actor in text(), reward in text(), state in state(),
    ) {
        if let Some(rendered) = rendered(&data(&title, &actor, &reward, LINK, state)) {
            assert_in_place(&rendered, LINK)?;
        }
    }

    #[test]
    fn a_link_leads_where_a_browser_would_go(link in link(), state in state()) {
        if let Some(rendered) = rendered(&data("Title", "Ana", "500 USD", &link, state)) {
            let url = Url::parse(link.trim()).unwrap();
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.username().is_empty() && url.password().is_none());
            assert_in_place(&rendered, &url.as_str().replace('|', "%7C"))?;
        }
    }

    #[test]
    fn a_line_beside_a_card_has_one_link_with_the_title(title in line::<Title>(), state in state()) {
        let line = short(&data(&title, "Ana", "500 USD", LINK, state)).unwrap();
        let (_, link) = line.split_once('<').unwrap();
        let (link, rest) = link.split_once('>').unwrap();
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        prop_assert_eq!(link, format!("{}|{}", escaped(LINK), escaped(&title)));
        prop_assert!(!rest.contains(['<', '>', '\n']), "{line}");
        prop_assert!(line.chars().count() <= 4_000);
    }

    #[test]
    fn almost_valid_data_is_rendered_or_rejected(
        data in mutated(data("Title", "Ana", "500 USD", LINK, "posted")),
    ) {
        check(&data)?;
    }

    #[test]
    fn any_json_is_rendered_or_rejected(data in anything()) {
        check(&data)?;
    }
}

fn check(data: &Value) -> Result<(), TestCaseError> {
    let item = serde_json::from_value::<ContentItem>(data.clone()).ok();
    let bounty = serde_json::from_value::<ContentBounty>(data.clone()).ok();
    let rendered = rendered(data);
    if let Some(rendered) = &rendered {
        let link = Link::try_from(data["link"].as_str().unwrap().to_owned()).unwrap();
        assert_in_place(rendered, link.as_str())?;
    }
    let shown = format!("{item:?} {bounty:?} {rendered:?}");
    prop_assert!(!leaks(&shown), "{shown}");
    Ok(())
}

/// Checks that the text has two lines with one link at the end and no other markup; that the blocks are our header
/// and rich text with one link and otherwise plain text; and that everything is within Slack's limits.
fn assert_in_place(rendered: &Rendered, link: &str) -> Result<(), TestCaseError> {
    let Rendered { text, blocks } = rendered;
    let lines: Vec<&str> = text.split('\n').collect();
    prop_assert_eq!(lines.len(), 2, "{:?}", text);
    prop_assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    let escaped = link.replace('&', "&amp;");
    let (before, linked) = lines[1].rsplit_once('<').unwrap();
    prop_assert_eq!(linked, format!("{escaped}>"));
    prop_assert!(!linked.contains('|'), "{linked}");
    prop_assert!(
        ![lines[0], before]
            .iter()
            .any(|text| text.contains(['<', '>'])),
        "{text:?}"
    );
    for entity in text.split('&').skip(1) {
        let is_one = ["amp;", "lt;", "gt;"]
            .iter()
            .any(|known| entity.starts_with(known));
        prop_assert!(is_one, "&{entity}");
    }

    let [header, rich_text] = blocks.as_slice() else {
        return Err(TestCaseError::fail("two blocks"));
    };
    prop_assert_eq!(&header["type"], "header");
    prop_assert_eq!(&header["text"]["type"], "plain_text");
    prop_assert!(lines[0].starts_with(header["text"]["text"].as_str().unwrap()));
    prop_assert_eq!(&rich_text["type"], "rich_text");
    let urls: Vec<&Value> = parts(rich_text)
        .into_iter()
        .filter_map(|part| part.get("url"))
        .collect();
    prop_assert_eq!(urls, [link]);
    for part in parts(rich_text) {
        let kinds = [
            "rich_text",
            "rich_text_section",
            "rich_text_list",
            "link",
            "text",
            "mentions",
        ];
        prop_assert!(
            part.get("type")
                .is_none_or(|kind| kinds.iter().any(|known| kind == known)),
            "{part}"
        );
    }
    let places = parts(rich_text).into_iter();
    let places = places.filter(|part| part["type"] == "mentions");
    prop_assert_eq!(places.count(), 1);

    // Source: Slack's `chat.postMessage`, "Truncating content"; where `msg_blocks_too_long` has been met.
    prop_assert!(text.chars().count() <= 4_000);
    prop_assert!(json!(blocks).to_string().chars().count() <= 13_200);
    Ok(())
}

/// All objects in a block.
fn parts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => {
            let below = fields.values().flat_map(parts);
            [value].into_iter().chain(below).collect()
        }
        Value::Array(values) => values.iter().flat_map(parts).collect(),
        _ => Vec::new(),
    }
}

/// The texts that the rich text shows, one per element.
fn written(rendered: &Rendered) -> Vec<&str> {
    let texts = parts(&rendered.blocks[1]).into_iter();
    texts
        .filter_map(|part| part.get("text")?.as_str())
        .collect()
}

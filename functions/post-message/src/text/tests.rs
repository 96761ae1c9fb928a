use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn message(text: &str, blocks: Option<&Value>) -> Message {
    serde_json::from_value(json!({ "text": text, "blocks": blocks })).unwrap()
}

/// A message that addresses nobody and is not late.
fn shown_of(message: &Message) -> Shown<'_> {
    Shown::of(message, &Addressees::default(), None)
}

fn words(characters: usize) -> String {
    "word ".repeat(characters / 5 + 1)[..characters].to_owned()
}

#[test]
fn a_text_that_slack_shows_in_one_piece_is_posted_as_it_is() {
    let text = "é".repeat(LONGEST_TEXT);
    let message = message(&text, None);
    let shown = shown_of(&message);
    assert_eq!((&*shown.text, shown.blocks), (text.as_str(), None));
}

#[test]
fn a_longer_text_becomes_sections_and_its_beginning_stays_for_notifications() {
    let text = words(12_000);
    let message = message(&text, None);
    let shown = shown_of(&message);
    assert!(shown.text.chars().count() <= LONGEST_TEXT && shown.text.ends_with("word…"));
    let blocks = shown.blocks.unwrap();
    assert_eq!(blocks.len(), 4);
    for block in &*blocks {
        assert_eq!(
            (&block["type"], &block["expand"]),
            (&json!("section"), &json!(true))
        );
        let part = block["text"]["text"].as_str().unwrap();
        assert!((1..=LONGEST_SECTION).contains(&part.chars().count()));
        assert!(part.starts_with("word") && part.ends_with("word"), "{part}");
    }
}

#[test]
fn beside_blocks_a_long_text_is_cut_at_a_word() {
    let blocks = json!([{ "type": "divider" }]);
    let text = words(40_000);
    let message = message(&text, Some(&blocks));
    let shown = shown_of(&message);
    assert!(shown.text.chars().count() <= LONGEST_TEXT && shown.text.ends_with("word…"));
    assert_eq!(json!(shown.blocks.unwrap()), blocks);
}

#[test]
fn a_text_of_an_earlier_release_that_fits_into_no_blocks_is_posted_as_before() {
    let text = words(12_001);
    let message = message(&text, None);
    let shown = shown_of(&message);
    assert_eq!((&*shown.text, shown.blocks), (text.as_str(), None));
}

#[test]
fn a_part_that_names_everybody_notifies_nobody() {
    let text = format!("{}\n\nask @channel", words(4_000));
    let blocks = sections(&text);
    let verbatim: Vec<&Value> = blocks.iter().map(|b| &b["text"]["verbatim"]).collect();
    assert_eq!(verbatim, [&Value::Null, &json!(true)]);
}

#[rstest]
#[case::paragraphs("one\n\ntwo\n\nthree", &["one\n\ntwo", "three"])]
#[case::windows_line_ends("one\r\n\r\ntwo\r\n\r\nthree", &["one\n\ntwo", "three"])]
#[case::lines("one\ntwo\nthree\nfour", &["one\ntwo", "three\nfour"])]
#[case::words("one two three four", &["one two", "three four"])]
#[case::paragraph_before_line("one\n\ntwo\nthree", &["one", "two\nthree"])]
#[case::no_spaces("一二三四五六七八九十一二", &["一二三四五六七八九十", "一二"])]
#[case::link_that_fits_in_no_part("go to <u|the label>", &["go to", "<u|the lab", "el>"])]
#[case::short_link("to <u|a b> now", &["to <u|a b>", "now"])]
#[case::link_without_spaces("12345<http>67", &["12345", "<http>67"])]
#[case::entity("12345678&amp;9", &["12345678", "&amp;9"])]
#[case::no_entity("12345678&9 123", &["12345678&9", "123"])]
#[case::less_than("a<b c d e f g", &["a<b c d e", "f g"])]
#[case::unfinished_mention("12345<!hereabouts", &["12345", "<!hereabou", "ts"])]
#[case::code_block("ab\n```\nx\n```", &["ab", "```\nx\n```"])]
#[case::after_a_code_block("```a\nb```\n\ncd e", &["```a\nb```", "cd e"])]
#[case::blank_line_in_a_code_block("a\n```\n\nb```c", &["a", "```\n\nb```c"])]
#[case::long_code_block("```\nab\ncd\nef```", &["```\nab\n```", "```\ncd\n```", "```\nef```"])]
#[case::fence_without_an_end("``` ab cd ef gh", &["``` ab cd", "ef gh"])]
fn a_text_is_split_where_it_tears_least(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(split(text, 10), expected);
}

#[rstest]
#[case::word(&format!("{} end", "a".repeat(3_990)), "a…")]
#[case::in_a_word(&"a".repeat(5_000), "a…")]
#[case::link(&format!("{}<https://example.com|label>", words(3_990)), "word…")]
#[case::entity(&format!("{}&amp;&amp;", "a".repeat(3_997)), "a…")]
fn a_text_is_cut_where_it_tears_least(#[case] text: &str, #[case] end: &str) {
    let text = format!("{text}{}", "x".repeat(10));
    let cut = cut(text.as_str().into());
    assert!(cut.ends_with(end) && cut.chars().count() <= LONGEST_TEXT);
    let start = cut.strip_suffix('…').unwrap();
    assert!(text.starts_with(start));
}

/// Text with many of the marks that must not be torn.
fn marked() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{1,12}",
        2 => Just(" ".to_owned()),
        2 => Just("\n".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => Just("```".to_owned()),
        1 => Just("&amp;".to_owned()),
        1 => Just("<u|a b>".to_owned()),
        1 => Just("<".to_owned()),
        1 => Just("é😀".to_owned()),
    ];
    proptest::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_is_lost_and_every_part_fits(text in marked()) {
        let parts = split(&text, 20);
        for part in &parts {
            let length = part.chars().count();
            prop_assert!((1..=20).contains(&length), "{length}: {part:?}");
        }
        // Where a long code block is split, fences are added.
        let visible = |text: &str| text.replace(|c: char| c.is_whitespace() || c == '`', "");
        prop_assert_eq!(visible(&parts.concat()), visible(&text));
        let entities: usize = parts.iter().map(|part| part.matches("&amp;").count()).sum();
        prop_assert_eq!(entities, text.matches("&amp;").count());
    }
}

/// A message to Ana, whom it mentions, and Bob, whom it does not.
fn shown_to_both(message: &Message, late: Option<&str>) -> (String, Value) {
    let notice = json!({ "mention": ["ana@example.com", "bob@example.com"] });
    let users = json!([{ "email": "ana@example.com", "id": "UANA" }]);
    let read = (
        serde_json::from_value(notice).unwrap(),
        serde_json::from_value::<Vec<_>>(users).unwrap(),
    );
    let addressees = Addressees::of(&read.0, &read.1, &[]);
    let late = late.map(|at| Timestamp::try_from(at.to_owned()).unwrap());
    let Shown { text, blocks } = Shown::of(message, &addressees, late);
    (text.into_owned(), json!(blocks))
}

fn people() -> Value {
    json!([
        { "type": "user", "user_id": "UANA" },
        { "type": "text", "text": ", " },
        { "type": "text", "text": "bob" },
    ])
}

#[test]
fn a_text_begins_with_the_people_whom_it_addresses() {
    let (text, blocks) = shown_to_both(&message("Please review", None), None);
    assert_eq!(text, "<@UANA>, bob\nPlease review");
    assert_eq!(blocks, Value::Null);
}

#[test]
fn a_text_that_is_too_long_with_the_people_becomes_sections() {
    let (text, blocks) = shown_to_both(&message(&words(LONGEST_TEXT - 5), None), None);
    assert!(text.starts_with("<@UANA>, bob\nword"), "{text}");
    assert!(
        text.chars().count() <= LONGEST_TEXT,
        "{}",
        text.chars().count()
    );
    assert_eq!(blocks[0]["text"]["text"], "<@UANA>, bob");
    assert_eq!(blocks.as_array().unwrap().len(), 3);
}

#[test]
fn the_people_stand_where_the_blocks_leave_a_place_for_them() {
    let section = |elements: Value| {
        json!([{ "type": "rich_text", "elements": [
            { "type": "rich_text_section", "elements": elements },
        ] }])
    };
    let text = json!({ "type": "text", "text": "mentions: " });
    let blocks = section(json!([text, { "type": "mentions" }]));
    let message = message("Please review", Some(&blocks));
    let (shown_text, shown) = shown_to_both(&message, None);
    assert_eq!(shown_text, "<@UANA>, bob\nPlease review");
    let mut expected = vec![text.clone()];
    expected.extend(people().as_array().unwrap().clone());
    assert_eq!(shown, section(json!(expected)));
    // A place for nobody is not left in the message: Slack would refuse it.
    assert_eq!(json!(shown_of(&message).blocks), section(json!([text])));
}

#[test]
fn a_section_that_is_only_a_place_for_mentions_is_not_empty_without_them() {
    let section = |element: Value| {
        let section = json!({ "type": "rich_text_section", "elements": [element] });
        json!([{ "type": "rich_text", "elements": [section] }])
    };
    let message = message("hello", Some(&section(json!({ "type": "mentions" }))));
    let space = json!({ "type": "text", "text": " " });
    assert_eq!(json!(shown_of(&message).blocks), section(space));
}

#[test]
fn blocks_without_a_place_begin_with_the_people() {
    let divider = json!({ "type": "divider" });
    let message = message("Please review", Some(&json!([divider])));
    let (_, blocks) = shown_to_both(&message, None);
    assert_eq!(blocks[0]["elements"][0]["elements"], people());
    assert_eq!(blocks[1], divider);
}

#[test]
fn a_late_message_says_when_it_happened() {
    let late = Some("2026-05-12T09:30:00Z");
    let note = "<!date^1778578200^{date_short}, {time}|12 May 2026, 09:30 UTC>, delayed";
    let (text, _) = shown_to_both(&message("Please review", None), late);
    assert_eq!(text, format!("<@UANA>, bob\nPlease review\n{note}"));

    let dividers = |count| json!(vec![json!({ "type": "divider" }); count]);
    let (text, blocks) = shown_to_both(&message("x", Some(&dividers(48))), late);
    assert_eq!(text, format!("<@UANA>, bob\nx\n{note}"));
    let last = json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": note }] });
    assert_eq!(blocks[49], last);
    let (_, full) = shown_to_both(&message("x", Some(&dividers(49))), late);
    assert_eq!(full.as_array().unwrap().len(), Blocks::MAX);
    let long = |characters| {
        let text = json!({ "type": "plain_text", "text": "x".repeat(characters) });
        json!([{ "type": "section", "text": text }])
    };
    for (characters, with_people_and_time) in [(12_000, 3), (13_000, 2)] {
        let (_, blocks) = shown_to_both(&message("x", Some(&long(characters))), late);
        assert_eq!(blocks.as_array().unwrap().len(), with_people_and_time);
    }
}

#[test]
fn what_a_caller_wrote_does_not_become_a_place_for_mentions() {
    let text = r#"{"type": "mentions"}"#;
    let blocks = json!([{ "type": "section", "text": { "type": "plain_text", "text": text } }]);
    let message = message(text, Some(&blocks));
    let (_, shown) = shown_to_both(&message, None);
    assert_eq!(shown[1], blocks[0]);
}

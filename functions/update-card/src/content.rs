//! What a card shows of an item.

use apgl_contract::{Email, Item, mrkdwn::escaped};
use apgl_delivery::rich_text::{date, date_in_text, plain, section, title};
use serde_json::{Value, json};

/// Slack splits a longer text into several messages. What does not fit is in the blocks.
const LONGEST_TEXT: usize = 4_000;
/// More people than this are counted instead of named.
const MOST_NAMES: usize = 10;

/// The text, for notifications, and the blocks.
///
/// The card names those who must act and mentions nobody: whoever must act is told by a message of their own.
pub(crate) struct Content {
    pub text: String,
    pub blocks: Vec<Value>,
}

impl Content {
    pub fn of(item: &Item) -> Self {
        Self {
            text: text(item),
            blocks: blocks(item),
        }
    }
}

fn text(item: &Item) -> String {
    let headline = format!("{}: {}", item.state.in_words(), item.title.as_str());
    let waiting = waiting_for(item).map(|names| format!("Waiting for {}", escaped(&names)));
    let due = item.due_date.map(|due| {
        let due = date_in_text(due.epoch_seconds(), "{date_long_pretty}");
        format!("Due {due}")
    });
    let link = item.link.as_ref();
    let link = link.map(|link| format!("<{}>", escaped(link.as_str())));
    let mut text = escaped(&headline);
    let mut separator = "\n";
    for detail in [due, waiting, link].into_iter().flatten() {
        let length = text.chars().count() + separator.len() + detail.chars().count();
        if length <= LONGEST_TEXT {
            text = format!("{text}{separator}{detail}");
            separator = " · ";
        }
    }
    text
}

fn blocks(item: &Item) -> Vec<Value> {
    let next_step = item.next_step.as_ref();
    let next_step = next_step.map(|step| plain(&format!("\n{}", step.as_str())));
    let about: Vec<Value> = [Some(title(item)), next_step]
        .into_iter()
        .flatten()
        .collect();
    let waiting = waiting_for(item).map(|names| vec![plain(&format!("Waiting for {names}"))]);
    let due = item.due_date.map(|due| {
        let due = date(due.epoch_seconds(), "{date_long_pretty}");
        vec![plain("Due "), due]
    });
    let facts = item
        .facts
        .as_slice()
        .iter()
        .map(|fact| vec![plain(fact.as_str())]);
    let facts = waiting.into_iter().chain(due).chain(facts);
    let facts = facts.map(|elements| section(&elements));
    let facts: Vec<Value> = facts.collect();
    let mut elements = vec![section(&about)];
    if !facts.is_empty() {
        elements.push(json!({ "type": "rich_text_list", "style": "bullet", "elements": facts }));
    }
    vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": item.state.in_words() } }),
        json!({ "type": "rich_text", "elements": elements }),
    ]
}

/// Those who must act, by name; `None` if nobody must.
fn waiting_for(item: &Item) -> Option<String> {
    let people = item.waiting_for.as_slice();
    let names = people.iter().take(MOST_NAMES).map(Email::name);
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    let others = people.len() - names.len();
    if others > 0 {
        names.push(format!("{others} more"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn item(change: impl FnOnce(&mut Value)) -> Item {
        let mut item = json!({
            "id": "content-item:guide-42", "version": 7, "channelName": "guide-42",
            "visibility": "private", "ownChannel": true, "title": "Rust on <Lambda>",
            "link": "https://example.com/guide?a=1&b=2", "state": "in_review",
            "nextStep": "Reviewers, please read the article.", "facts": ["Submitted by Ana"],
            "waitingFor": ["bob@example.com", "c&d@example.com"], "dueDate": "2026-12-01",
        });
        change(&mut item);
        from_value(item).unwrap()
    }

    #[test]
    fn a_card_shows_the_state_who_must_act_and_by_when() {
        let Content { text, blocks } = Content::of(&item(|_| {}));
        assert_eq!(
            text,
            "In review: Rust on &lt;Lambda&gt;\n\
             Due <!date^1796119200^{date_long_pretty}|1 December 2026> · Waiting for bob, c&amp;d · \
             <https://example.com/guide?a=1&amp;b=2>"
        );
        assert_eq!(blocks[0]["text"]["text"], "In review");
        let about = &blocks[1]["elements"][0]["elements"];
        assert_eq!(about[0]["text"], "Rust on <Lambda>");
        assert_eq!(about[0]["url"], "https://example.com/guide?a=1&b=2");
        assert_eq!(about[1], plain("\nReviewers, please read the article."));
        let facts = blocks[1]["elements"][1]["elements"].as_array().unwrap();
        assert_eq!(facts[0]["elements"][0], plain("Waiting for bob, c&d"));
        assert_eq!(facts[1]["elements"][1]["timestamp"], 1_796_119_200);
        assert_eq!(facts[1]["elements"][1]["fallback"], "1 December 2026");
        assert_eq!(facts[2]["elements"][0], plain("Submitted by Ana"));
    }

    #[test]
    fn a_card_of_an_item_that_waits_for_nobody_shows_what_there_is() {
        let bare = item(|item| {
            for field in ["link", "nextStep", "facts", "waitingFor", "dueDate"] {
                item.as_object_mut().unwrap().remove(field);
            }
        });
        let Content { text, blocks } = Content::of(&bare);
        assert_eq!(text, "In review: Rust on &lt;Lambda&gt;");
        let title =
            json!({ "type": "text", "text": "Rust on <Lambda>", "style": { "bold": true } });
        assert_eq!(blocks[1]["elements"], json!([section(&[title])]));
    }

    #[test]
    fn many_people_are_counted() {
        let people: Vec<String> = (0..50).map(|n| format!("p{n}@example.com")).collect();
        let crowded = item(|item| item["waitingFor"] = json!(people));
        let names = waiting_for(&crowded).unwrap();
        assert!(names.ends_with("p8, p9, 40 more"), "{names}");
    }

    /// Slack: about 4,000 characters of text; 13,200 in all blocks.
    #[test]
    fn the_largest_card_is_within_slacks_limits() {
        let largest = item(|item| {
            let people = (0..50).map(|n| format!("{}{n:02}@example.com", "&".repeat(62)));
            item["waitingFor"] = json!(people.collect::<Vec<_>>());
            item["title"] = json!("&".repeat(150));
            item["state"] = json!("&".repeat(40));
            item["nextStep"] = json!("&".repeat(300));
            item["facts"] = json!(vec!["&".repeat(300); 10]);
            item["link"] = json!(format!("https://example.com/{}", "a".repeat(1_980)));
        });
        let Content { text, blocks } = Content::of(&largest);
        assert!(text.chars().count() <= LONGEST_TEXT);
        assert!(json!(blocks).to_string().chars().count() <= 13_000);
    }
}

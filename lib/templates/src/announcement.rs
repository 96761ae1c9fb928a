//! The format that all messages share.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use apgl_contract::mrkdwn::escaped;

use crate::{DueDate, Link, PersonName, Reward, Title};

/// A message for `chat.postMessage`. Do not set its parameters `parse` and `link_names`: with them, Slack looks for
/// mentions in text that people wrote.
///
/// Always within Slack's limits: at most 4,000 characters of text, 50 blocks, and 150 characters in a header.
/// `Debug` shows only sizes, so that a message can't get into a log by accident.
///
/// Source: Slack's `chat.postMessage` and Block Kit reference.
#[derive(Clone, PartialEq, Serialize)]
pub struct Rendered {
    /// The text that notifications show, in mrkdwn: a complete message in two lines.
    pub text: String,
    /// What the channel shows: Block Kit blocks. Where `post-message` is to put mentions, they have the element
    /// `{"type": "mentions"}`, which is not Slack's own.
    pub blocks: Vec<Value>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "({} characters, {} blocks)",
            self.text.chars().count(),
            self.blocks.len()
        )
    }
}

/// The wording of a state in a message.
pub(crate) struct Wording {
    /// What happened.
    pub headline: &'static str,
    /// What readers should do next.
    pub next_step: &'static str,
    /// The words before the actor's name.
    pub actor: &'static str,
    /// The words before the date, in a state with a deadline.
    pub due_date: Option<&'static str>,
    /// The wording to a person who must act; `None` in a state in which nobody must.
    pub to_person: Option<ToPerson>,
}

/// The wording to a person who must act.
pub(crate) struct ToPerson {
    pub headline: &'static str,
    pub next_step: &'static str,
}

impl Wording {
    /// The same state, told to a person who must act; `None` if nobody must.
    pub fn for_person(self) -> Option<Self> {
        let ToPerson {
            headline,
            next_step,
        } = self.to_person?;
        Some(Self {
            headline,
            next_step,
            to_person: None,
            ..self
        })
    }
}

/// News about an article.
pub(crate) struct Announcement<'a> {
    pub wording: Wording,
    pub title: &'a Title,
    pub link: &'a Link,
    pub actor: Option<&'a PersonName>,
    pub due_date: Option<DueDate>,
    pub reward: Option<&'a Reward>,
    /// Whether the message leaves a place for mentions of the people who must act.
    pub mentions: bool,
}

impl Announcement<'_> {
    pub fn render(&self) -> Rendered {
        let facts = self.facts();
        Rendered {
            text: self.text(&facts),
            blocks: self.blocks(&facts),
        }
    }

    /// One line, for a channel that has a card with everything else.
    pub fn render_short(&self) -> String {
        let link = escaped(self.link.as_str());
        let title = escaped(self.title.as_str());
        let due_date = self.due_date().map(|due_date| format!(" · {due_date}"));
        let due_date = due_date.unwrap_or_default();
        format!("{}: <{link}|{title}>{due_date}", self.wording.headline)
    }

    /// What a card shows besides the due date.
    pub fn card_facts(&self) -> Vec<String> {
        [self.actor(), self.reward()]
            .into_iter()
            .flatten()
            .collect()
    }

    pub fn facts(&self) -> Vec<String> {
        let facts = [self.actor(), self.due_date(), self.reward()];
        facts.into_iter().flatten().collect()
    }

    fn actor(&self) -> Option<String> {
        let actor = self.actor?;
        Some(format!("{} {}", self.wording.actor, actor.as_str()))
    }

    fn due_date(&self) -> Option<String> {
        let (words, date) = self.wording.due_date.zip(self.due_date)?;
        Some(format!("{words} {date}"))
    }

    fn reward(&self) -> Option<String> {
        let reward = self.reward?;
        Some(format!("Reward: {}", reward.as_str()))
    }

    fn text(&self, facts: &[String]) -> String {
        let details: Vec<String> = facts
            .iter()
            .map(|fact| escaped(fact))
            .chain([format!("<{}>", escaped(self.link.as_str()))])
            .collect();
        format!(
            "{}: {}\n{}",
            self.wording.headline,
            escaped(self.title.as_str()),
            details.join(" · ")
        )
    }

    /// The title is the link, and there is no button: a button, even one that only opens a URL, sends an interaction
    /// to the app (Slack's "Button element", `url`), and this app does not handle interactions.
    fn blocks(&self, facts: &[String]) -> Vec<Value> {
        let mut elements = vec![json!({
            "type": "rich_text_section",
            "elements": [
                {
                    "type": "link",
                    "url": self.link.as_str(),
                    "text": self.title.as_str(),
                    "style": { "bold": true },
                },
                { "type": "text", "text": format!("\n{}", self.wording.next_step) },
            ],
        })];
        let text = |text: &str| json!({ "type": "text", "text": text });
        let mut items: Vec<Value> = facts.iter().map(|fact| item(&[text(fact)])).collect();
        if self.mentions {
            items.insert(
                0,
                item(&[text("Waiting for "), json!({ "type": "mentions" })]),
            );
        }
        if !items.is_empty() {
            elements
                .push(json!({ "type": "rich_text_list", "style": "bullet", "elements": items }));
        }
        vec![
            json!({
                "type": "header",
                "text": { "type": "plain_text", "text": self.wording.headline },
            }),
            json!({ "type": "rich_text", "elements": elements }),
        ]
    }
}

/// An item of a list in rich text.
fn item(elements: &[Value]) -> Value {
    json!({ "type": "rich_text_section", "elements": elements })
}

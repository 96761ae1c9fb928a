//! Texts and blocks of messages, as Slack shows them. All text is escaped as it is written.

use maud::{Markup, html};
use serde_json::Value;

use super::clock::Clock;
use crate::workspace::Workspace;

/// The person who looks at the page: texts name the people of their workspace, and dates are those of their clock.
pub(super) struct Reader<'w> {
    pub workspace: &'w Workspace,
    pub clock: Clock,
}

impl Reader<'_> {
    /// The user's name; the id if there is no such user.
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.workspace.user(id).map_or(id, |user| &user.name)
    }

    pub fn block(&self, block: &Value) -> Markup {
        let text = |value: &Value| self.text(value);
        let list = |name: &str| block[name].as_array().cloned().unwrap_or_default();
        match block["type"].as_str() {
            Some("header") => html! { div.block.header { (text(&block["text"])) } },
            Some("divider") => html! { hr; },
            Some("section") => html! {
                div.block { (text(&block["text"])) }
                div.fields { @for field in list("fields") { div { (text(&field)) } } }
            },
            Some("context") => {
                html! { div.block.context { @for element in list("elements") { (text(&element)) " " } } }
            }
            Some("actions") => html! {
                div.block {
                    @for element in list("elements") {
                        a.button href=(link_target(element["url"].as_str().unwrap_or_default())) { (text(&element["text"])) }
                    }
                }
            },
            Some("rich_text") => html! {
                div.block { @for part in list("elements") { (self.rich_text(&part)) } }
            },
            kind => html! { div.block.context { "[" (kind.unwrap_or("block")) "]" } },
        }
    }

    /// A text object of a block.
    fn text(&self, value: &Value) -> Markup {
        let text = value["text"].as_str().unwrap_or_default();
        if value["type"] == "mrkdwn" {
            self.mrkdwn(text)
        } else {
            html! { (text) }
        }
    }

    /// A part of a `rich_text` block. Its texts are shown literally, without markup.
    fn rich_text(&self, part: &Value) -> Markup {
        let elements = part["elements"].as_array().cloned().unwrap_or_default();
        if part["type"] == "rich_text_list" {
            return html! { ul { @for item in elements { li { (self.rich_text(&item)) } } } };
        }
        html! { div { @for element in elements { (self.rich_text_element(&element)) } } }
    }

    fn rich_text_element(&self, element: &Value) -> Markup {
        if let Some(id) = element["user_id"].as_str() {
            return self.mention(id);
        }
        let text = element["text"].as_str();
        let url = element["url"].as_str();
        let shown = if element["type"] == "date" {
            let format = element["format"].as_str().unwrap_or_default();
            let fallback = element["fallback"].as_str().unwrap_or(format);
            self.date(element["timestamp"].as_i64(), format, fallback)
        } else {
            lines(text.or(url).unwrap_or_default())
        };
        let linked = linked(url, &shown);
        if element["style"]["bold"] == true {
            html! { strong { (linked) } }
        } else {
            linked
        }
    }

    /// Slack's markup: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, `<link|label>`, dates, line breaks.
    pub fn mrkdwn(&self, text: &str) -> Markup {
        html! {
            @for (n, line) in text.split('\n').enumerate() {
                @if n > 0 { br; }
                (self.line(line))
            }
        }
    }

    /// A line of Slack's markup.
    pub fn line(&self, line: &str) -> Markup {
        let mut pieces = Vec::new();
        let mut rest = line;
        let mut plain = String::new();
        while let Some(first) = rest.chars().next() {
            let piece = match first {
                '<' => rest[1..]
                    .split_once('>')
                    .map(|(inside, after)| (self.special(inside), after)),
                '*' | '_' | '~' | '`' => self.styled(first, &rest[1..]),
                _ => None,
            };
            if let Some((markup, after)) = piece {
                pieces.push(html! { (unescaped(&plain)) });
                plain.clear();
                pieces.push(markup);
                rest = after;
            } else {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        html! { @for piece in pieces { (piece) } (unescaped(&plain)) }
    }

    fn styled<'t>(&self, mark: char, after_mark: &'t str) -> Option<(Markup, &'t str)> {
        let end = closing(mark, after_mark)?;
        let (inside, after) = (&after_mark[..end], &after_mark[end + mark.len_utf8()..]);
        if inside.trim() != inside || inside.is_empty() {
            return None;
        }
        let markup = match mark {
            '*' => html! { b { (self.line(inside)) } },
            '_' => html! { i { (self.line(inside)) } },
            '~' => html! { s { (self.line(inside)) } },
            _ => html! { code { (unescaped(inside)) } },
        };
        Some((markup, after))
    }

    /// What is between `<` and `>`: a mention, a date or a link.
    fn special(&self, inside: &str) -> Markup {
        if let Some(date) = inside.strip_prefix("!date^") {
            return self.date_token(date);
        }
        let (target, label) = inside.split_once('|').unwrap_or((inside, inside));
        if let Some(id) = target.strip_prefix('@') {
            return self.mention(id);
        }
        if target.starts_with(['#', '!']) {
            return html! { b { (unescaped(label)) } };
        }
        linked(Some(target), &html! { (unescaped(label)) })
    }

    /// `1392734382^{date} at {time}^https://example.com/|February 18th, 2014 at 2:39 PM UTC`. The link is optional.
    fn date_token(&self, token: &str) -> Markup {
        let (token, fallback) = token.split_once('|').unwrap_or((token, token));
        let mut parts = token.splitn(3, '^');
        let seconds = parts.next().and_then(|seconds| seconds.parse().ok());
        let format = unescaped(parts.next().unwrap_or_default());
        let shown = self.date(seconds, &format, &unescaped(fallback));
        linked(parts.next(), &shown)
    }

    fn date(&self, seconds: Option<i64>, format: &str, fallback: &str) -> Markup {
        let date = seconds.and_then(|seconds| {
            let date = self.clock.in_format(seconds, format)?;
            Some((date, self.clock.in_full(seconds)))
        });
        html! {
            @if let Some((date, in_full)) = date { span.date title=[in_full] { (date) } }
            @else { (fallback) }
        }
    }

    /// The name of the user, as Slack shows a mention.
    fn mention(&self, id: &str) -> Markup {
        html! { b.mention { "@" (self.name(id)) } }
    }
}

/// The position of the mark that ends a style. Marks in a link or in a date's format don't count.
fn closing(mark: char, text: &str) -> Option<usize> {
    let mut is_in_link = false;
    for (index, character) in text.char_indices() {
        match character {
            '<' => is_in_link = mark != '`',
            '>' => is_in_link = false,
            _ if character == mark && !is_in_link => return Some(index),
            _ => {}
        }
    }
    None
}

fn lines(text: &str) -> Markup {
    html! {
        @for (n, line) in text.split('\n').enumerate() {
            @if n > 0 { br; }
            (line)
        }
    }
}

fn linked(url: Option<&str>, shown: &Markup) -> Markup {
    match url {
        Some(url) => html! { a href=(link_target(url)) { (shown) } },
        None => shown.clone(),
    }
}

/// Allows only web and e-mail links, so that a link cannot contain a script.
fn link_target(target: &str) -> String {
    let target = unescaped(target);
    if target.starts_with("https://")
        || target.starts_with("http://")
        || target.starts_with("mailto:")
    {
        target
    } else {
        "#".to_owned()
    }
}

/// Undoes Slack's three escapes, once.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

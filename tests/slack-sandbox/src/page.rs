//! The web page at `/`: channels, direct messages, members and messages, as in a chat; and the log of calls.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    calls::{self, Call},
    workspace::{Channel, Kind, Message, Workspace},
};

/// The maximum number of channels, and of direct messages, in the sidebar.
const SHOWN_CHANNELS: usize = 300;
/// The maximum number of calls in the log.
const SHOWN_CALLS: usize = 200;
/// The maximum number of members that are listed by name.
const SHOWN_MEMBERS: usize = 40;

/// The query parameters.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct View {
    channel: Option<String>,
    /// Shows the calls instead of a channel.
    calls: Option<String>,
    /// Shows only channels and people whose name contains this text.
    #[serde(default)]
    q: String,
    /// Reloads the page after this many seconds.
    refresh: Option<u32>,
}

pub(crate) fn render(workspace: &Workspace, calls: &[Call], view: &View) -> Markup {
    let channel = match &view.channel {
        Some(name) => workspace.channel_by_name(name),
        None => workspace.channels.iter().max_by_key(|channel| {
            (
                channel.messages.last().map(|message| &message.ts),
                channel.created,
            )
        }),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = view.refresh { meta http-equiv="refresh" content=(seconds); }
                title { "Slack sandbox" }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (sidebar(workspace, calls, view, channel))
                main {
                    @if view.calls.is_some() { (call_log(calls)) }
                    @else if let Some(channel) = channel { (conversation(workspace, channel)) }
                    @else { p.empty { "No such channel. When one is created, it shows up here." } }
                }
            }
        }
    }
}

fn sidebar(
    workspace: &Workspace,
    calls: &[Call],
    view: &View,
    current: Option<&Channel>,
) -> Markup {
    let current = current.filter(|_| view.calls.is_none());
    let (channels, direct_messages): (Vec<&Channel>, Vec<&Channel>) = workspace
        .channels
        .iter()
        .partition(|channel| channel.kind == Kind::Channel);
    html! {
        nav {
            h1 { "Slack sandbox" }
            p { (counted(workspace.users.len(), "user")) " · " (counted(channels.len(), "channel")) }
            form { input type="search" name="q" value=(view.q) placeholder="Find a channel or a person" aria-label="Find a channel or a person"; }
            a.on[view.calls.is_some()] href="/?calls=1" { span { "⇄" } span { "Calls" } span.count { (calls.len()) } }
            h2 { "Channels" }
            (links(workspace, &channels, &view.q, current))
            h2 { "Direct messages" }
            (links(workspace, &direct_messages, &view.q, current))
        }
    }
}

/// Links to those of these channels or direct messages whose title contains `q`.
fn links(
    workspace: &Workspace,
    channels: &[&Channel],
    q: &str,
    current: Option<&Channel>,
) -> Markup {
    let found = || {
        let titled = channels
            .iter()
            .map(|channel| (*channel, title(workspace, channel)));
        titled.filter(|(_, title)| title.contains(q))
    };
    let count = found().count();
    html! {
        @if count == 0 { p { "None yet." } }
        @for (channel, title) in found().take(SHOWN_CHANNELS) {
            @let is_current = current.is_some_and(|current| current.id == channel.id);
            a.on[is_current].archived[channel.is_archived] href={ "/?channel=" (channel.name) } title=(title) {
                span { (sign(channel)) } span { (title) }
            }
        }
        @if count > SHOWN_CHANNELS { p { "and " (count - SHOWN_CHANNELS) " more" } }
    }
}

/// The channel's name, or the name of the person whom the bot writes to.
fn title<'w>(workspace: &'w Workspace, channel: &'w Channel) -> &'w str {
    let user = match &channel.kind {
        Kind::Direct { user } => workspace.user(user),
        Kind::Channel | Kind::Group => None,
    };
    user.map_or(&channel.name, |user| &user.name)
}

/// `#` for a public channel, a lock for a private one, `@` for a direct message. The lock is drawn, because not every
/// machine has the emoji.
fn sign(channel: &Channel) -> Markup {
    if channel.kind != Kind::Channel {
        return html! { "@" };
    }
    if !channel.is_private {
        return html! { "#" };
    }
    html! {
        svg.lock viewBox="0 0 16 16" role="img" aria-label="private" {
            path d="M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7zm2 0h4V5a2 2 0 0 0-4 0z" {}
        }
    }
}

fn conversation(workspace: &Workspace, channel: &Channel) -> Markup {
    let kind = match channel.kind {
        Kind::Direct { .. } | Kind::Group => "Direct message",
        Kind::Channel if channel.is_private => "Private channel",
        Kind::Channel => "Public channel",
    };
    let name_of = |id: &String| {
        workspace.user(id).map_or_else(
            || id.clone(),
            |user| match &user.email {
                Some(email) => format!("{} · {email}", user.name),
                None => user.name.clone(),
            },
        )
    };
    html! {
        header {
            h2 { (sign(channel)) " " (title(workspace, channel)) }
            p {
                (kind) " · " (counted(channel.members.len(), "member"))
                @if channel.is_archived { " · archived" }
                @if !channel.topic.is_empty() { " · " (channel.topic) }
            }
            @for id in channel.members.iter().take(SHOWN_MEMBERS) { span.pill { (name_of(id)) } }
            @if channel.members.len() > SHOWN_MEMBERS {
                span.pill { "and " (channel.members.len() - SHOWN_MEMBERS) " more" }
            }
        }
        section {
            @if channel.messages.is_empty() { p.empty { "No messages yet." } }
            @for parent in channel.messages.iter().filter(|message| !message.is_reply()) {
                (message(workspace, parent))
                @for reply in channel.messages.iter().filter(|reply| reply.is_reply() && reply.thread_ts.as_ref() == Some(&parent.ts)) {
                    (message(workspace, reply))
                }
            }
        }
    }
}

fn message(workspace: &Workspace, message: &Message) -> Markup {
    let author = workspace
        .user(&message.user)
        .map_or("unknown", |user| user.name.as_str());
    html! {
        article.reply[message.is_reply()] {
            div.face { (author.chars().take(1).collect::<String>()) }
            div.body {
                div.who { b { (author) } @if !message.bot_id.is_empty() { span.app { "APP" } } time title=(message.ts) { (clock(&message.ts)) } }
                @match message.blocks.as_ref().and_then(Value::as_array) {
                    Some(blocks) => { @for value in blocks { (block(workspace, value)) } }
                    None => (mrkdwn(workspace, &message.text)),
                }
            }
        }
    }
}

/// `1712345678.000200` as a time of day, in UTC.
fn clock(ts: &str) -> String {
    let seconds = ts
        .split('.')
        .next()
        .and_then(|seconds| seconds.parse().ok());
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || ts.to_owned(),
        |time| time.strftime("%b %-d, %H:%M:%S").to_string(),
    )
}

fn block(workspace: &Workspace, block: &Value) -> Markup {
    let text = |value: &Value| {
        let text = value["text"].as_str().unwrap_or_default();
        if value["type"] == "mrkdwn" {
            mrkdwn(workspace, text)
        } else {
            html! { (text) }
        }
    };
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
            div.block { @for part in list("elements") { (rich_text(workspace, &part)) } }
        },
        kind => html! { div.block.context { "[" (kind.unwrap_or("block")) "]" } },
    }
}

/// A part of a `rich_text` block. Its texts are shown literally, without markup.
fn rich_text(workspace: &Workspace, part: &Value) -> Markup {
    let elements = part["elements"].as_array().cloned().unwrap_or_default();
    if part["type"] == "rich_text_list" {
        return html! { ul { @for item in elements { li { (rich_text(workspace, &item)) } } } };
    }
    html! { div { @for element in elements { (rich_text_element(workspace, &element)) } } }
}

fn rich_text_element(workspace: &Workspace, element: &Value) -> Markup {
    if let Some(id) = element["user_id"].as_str() {
        return mention(workspace, id);
    }
    let text = element["text"].as_str();
    let url = element["url"].as_str();
    let shown = html! {
        @for (n, line) in text.or(url).unwrap_or_default().split('\n').enumerate() {
            @if n > 0 { br; }
            (line)
        }
    };
    let linked = match url {
        Some(url) => html! { a href=(link_target(url)) { (shown) } },
        None => shown,
    };
    if element["style"]["bold"] == true {
        html! { strong { (linked) } }
    } else {
        linked
    }
}

/// Slack's markup: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, `<link|label>`, line breaks.
/// All text is escaped as it is written.
fn mrkdwn(workspace: &Workspace, text: &str) -> Markup {
    html! {
        @for (n, line) in text.split('\n').enumerate() {
            @if n > 0 { br; }
            @for piece in pieces(workspace, line) { (piece) }
        }
    }
}

fn pieces(workspace: &Workspace, line: &str) -> Vec<Markup> {
    let mut pieces = Vec::new();
    let mut rest = line;
    let mut plain = String::new();
    while let Some(first) = rest.chars().next() {
        let styled = match first {
            '<' => rest[1..]
                .split_once('>')
                .map(|(inside, after)| (link(workspace, inside), after)),
            '*' | '_' | '~' | '`' => styled(first, &rest[1..]),
            _ => None,
        };
        if let Some((markup, after)) = styled {
            pieces.push(html! { (unescaped(&plain)) });
            plain.clear();
            pieces.push(markup);
            rest = after;
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    pieces.push(html! { (unescaped(&plain)) });
    pieces
}

fn styled(mark: char, after_mark: &str) -> Option<(Markup, &str)> {
    let (inside, after) = after_mark.split_once(mark)?;
    if inside.trim() != inside || inside.is_empty() {
        return None;
    }
    let inside = unescaped(inside);
    let markup = match mark {
        '*' => html! { b { (inside) } },
        '_' => html! { i { (inside) } },
        '~' => html! { s { (inside) } },
        _ => html! { code { (inside) } },
    };
    Some((markup, after))
}

fn link(workspace: &Workspace, inside: &str) -> Markup {
    let (target, label) = inside.split_once('|').unwrap_or((inside, inside));
    if let Some(id) = target.strip_prefix('@') {
        return mention(workspace, id);
    }
    if target.starts_with(['#', '!']) {
        return html! { b { (unescaped(label)) } };
    }
    html! { a href=(link_target(target)) { (unescaped(label)) } }
}

/// The name of the user, as Slack shows a mention; the id if there is no such user.
fn mention(workspace: &Workspace, id: &str) -> Markup {
    let name = workspace.user(id).map_or(id, |user| user.name.as_str());
    html! { b.mention { "@" (name) } }
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

fn call_log(calls: &[Call]) -> Markup {
    html! {
        header { h2 { "Calls" } p { (calls.len()) " calls since the start or the last reset" } }
        section {
            @if calls.is_empty() { p.empty { "No calls yet." } }
            @else {
                table {
                    tr { th { "Method" } th.n { "Calls" } th.n { "Rate limited" } th { "Errors" } }
                    @for (method, tally) in calls::summary(calls) {
                        tr {
                            td { (method) } td.n { (tally.total) } td.n { (tally.rate_limited) }
                            td { @for (error, count) in &tally.errors { span.pill { (error) " × " (count) } } }
                        }
                    }
                }
                br;
                table {
                    tr { th.n { "#" } th { "At" } th { "Method" } th { "Status" } th { "Error" } th { "Fault" } }
                    @for call in calls.iter().rev().take(SHOWN_CALLS) {
                        tr {
                            td.n { (call.seq) } td { (call.at) } td { (call.method) } td { (call.status) }
                            td.bad { (call.error.as_deref().unwrap_or_default()) }
                            td { (call.fault.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

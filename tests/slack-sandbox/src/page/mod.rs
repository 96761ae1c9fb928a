//! The web page at `/`: channels, direct messages, members and messages, as in a chat; and the log of calls.

mod clock;
mod markup;

use std::{cmp::Reverse, collections::BTreeSet};

use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;
use serde_json::Value;

use self::{clock::Clock, markup::Reader};
use crate::{
    calls::{self, Call},
    time_zone,
    workspace::{Channel, Kind, Message, Pinned, User, Workspace},
};

/// The maximum number of channels, and of direct messages, in the sidebar.
const SHOWN_CHANNELS: usize = 300;
/// The maximum number of calls in the log.
const SHOWN_CALLS: usize = 200;
/// The maximum number of members that are listed by name.
const SHOWN_MEMBERS: usize = 40;
/// The maximum number of pins in a channel's header.
const SHOWN_PINS: usize = 5;
/// The time zones that one can choose besides those of the users.
const USUAL_ZONES: [&str; 12] = [
    UTC,
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Auckland",
];
const UTC: &str = "UTC";

/// The query parameters.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct View {
    /// The name or the id.
    channel: Option<String>,
    /// Shows the calls instead of a channel.
    calls: Option<String>,
    /// Shows only channels and people whose name or address contains this text.
    #[serde(default)]
    q: String,
    /// Reloads the page after this many seconds.
    refresh: Option<u32>,
    /// Shows times as people in this time zone see them. UTC by default.
    #[serde(default)]
    tz: String,
}

impl View {
    /// The name of the time zone.
    fn tz(&self) -> &str {
        if self.tz.is_empty() { UTC } else { &self.tz }
    }

    /// The address of the page with this parameter. A link to it keeps the search, the reload and the time zone.
    fn link(&self, name: &str, value: &str) -> String {
        let refresh = self.refresh.map(|seconds| seconds.to_string());
        let kept = [
            ("q", self.q.as_str()),
            ("refresh", refresh.as_deref().unwrap_or_default()),
            ("tz", &self.tz),
        ];
        let kept = kept.into_iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<(&str, &str)> = [(name, value)].into_iter().chain(kept).collect();
        let query = serde_urlencoded::to_string(query);
        format!("/?{}", query.unwrap_or_default())
    }
}

pub(crate) fn render(workspace: &Workspace, calls: &[Call], view: &View) -> Markup {
    let channel = match &view.channel {
        Some(name) => workspace
            .channel_by_name(name)
            .or_else(|| workspace.channel(name)),
        None => workspace
            .channels
            .iter()
            .max_by_key(|channel| last_change(channel)),
    };
    let zone = time_zone::named(view.tz());
    let reader = Reader {
        workspace,
        clock: Clock::in_zone(zone.clone().unwrap_or(TimeZone::UTC)),
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
                    @if zone.is_none() { p.bad { "There is no time zone " (view.tz()) ". Times are in UTC." } }
                    @if view.calls.is_some() { (call_log(calls)) }
                    @else if let Some(channel) = channel { (conversation(&reader, view, channel)) }
                    @else { p.empty { "No such channel. When one is created, it shows up here." } }
                }
            }
        }
    }
}

/// The `ts` of the last message, and the time when the channel was created.
fn last_change(channel: &Channel) -> (Option<&String>, u64) {
    let last = channel.messages.last();
    (last.map(|message| &message.ts), channel.created)
}

fn sidebar(
    workspace: &Workspace,
    calls: &[Call],
    view: &View,
    current: Option<&Channel>,
) -> Markup {
    let current = current.filter(|_| view.calls.is_none());
    let (channels, mut direct_messages): (Vec<&Channel>, Vec<&Channel>) = workspace
        .channels
        .iter()
        .partition(|channel| channel.kind == Kind::Channel);
    direct_messages.sort_by_key(|channel| Reverse(last_change(channel)));
    html! {
        nav {
            h1 { "Slack sandbox" }
            p { (counted(workspace.users.len(), "user")) " · " (counted(channels.len(), "channel")) }
            (choices(workspace, view))
            a.on[view.calls.is_some()] href=(view.link("calls", "1")) { span { "⇄" } span { "Calls" } span.count { (calls.len()) } }
            h2 { a href="#channels" { "Channels" } }
            div id="channels" { (links(workspace, &channels, view, current)) }
            h2 { a href="#direct-messages" { "Direct messages" } }
            div id="direct-messages" { (links(workspace, &direct_messages, view, current)) }
        }
    }
}

/// The search and the time zone.
fn choices(workspace: &Workspace, view: &View) -> Markup {
    let zones: BTreeSet<&str> = USUAL_ZONES
        .into_iter()
        .chain(workspace.users.iter().map(|user| user.tz.as_str()))
        .filter(|tz| *tz != time_zone::DEFAULT)
        .chain([view.tz()])
        .collect();
    html! {
        form {
            @if let Some(channel) = &view.channel { input type="hidden" name="channel" value=(channel); }
            @if let Some(calls) = &view.calls { input type="hidden" name="calls" value=(calls); }
            @if let Some(seconds) = view.refresh { input type="hidden" name="refresh" value=(seconds); }
            input type="search" name="q" value=(view.q) placeholder="Find a channel or a person" aria-label="Find a channel or a person";
            div {
                select name="tz" aria-label="Time zone" {
                    @for tz in zones { option selected[tz == view.tz()] { (tz) } }
                }
                button { "Show" }
            }
        }
    }
}

/// Links to those of these channels or direct messages that the search finds.
fn links(
    workspace: &Workspace,
    channels: &[&Channel],
    view: &View,
    current: Option<&Channel>,
) -> Markup {
    let wanted = view.q.to_lowercase();
    let found: Vec<(&Channel, String)> = channels
        .iter()
        .map(|channel| (*channel, title(workspace, channel)))
        .filter(|(channel, title)| {
            let person = person(workspace, channel);
            let email = person.and_then(|user| user.email.as_deref());
            let has = |text: &str| text.to_lowercase().contains(&wanted);
            has(title) || email.is_some_and(has)
        })
        .collect();
    html! {
        @if found.is_empty() { p { @if channels.is_empty() { "None yet." } @else { "None found." } } }
        @for (channel, title) in found.iter().take(SHOWN_CHANNELS) {
            @let is_current = current.is_some_and(|current| current.id == channel.id);
            a.on[is_current].archived[channel.is_archived] href=(view.link("channel", &channel.name)) title=(title) {
                span { (sign(channel)) } span { (title) }
            }
        }
        @if found.len() > SHOWN_CHANNELS { p { "and " (found.len() - SHOWN_CHANNELS) " more" } }
    }
}

/// The channel's name, or the names of the people whom the bot writes to.
fn title(workspace: &Workspace, channel: &Channel) -> String {
    match &channel.kind {
        Kind::Channel => channel.name.clone(),
        Kind::Direct { .. } => {
            let person = person(workspace, channel);
            person.map_or(&channel.name, |user| &user.name).clone()
        }
        Kind::Group => {
            let members = channel.members.iter();
            let people = members
                .filter_map(|id| workspace.user(id))
                .filter(|user| !user.is_bot);
            let names: Vec<&str> = people.map(|user| user.name.as_str()).collect();
            names.join(", ")
        }
    }
}

/// The person whom the bot writes to in this direct message.
fn person<'w>(workspace: &'w Workspace, channel: &Channel) -> Option<&'w User> {
    match &channel.kind {
        Kind::Direct { user } => workspace.user(user),
        Kind::Channel | Kind::Group => None,
    }
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
        svg.sign viewBox="0 0 16 16" role="img" aria-label="private" {
            path d="M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7zm2 0h4V5a2 2 0 0 0-4 0z" {}
        }
    }
}

/// A pin, drawn like the lock.
fn pin_sign() -> Markup {
    html! {
        svg.sign viewBox="0 0 16 16" role="img" aria-label="pin" {
            path d="M5 1h6v1.5l-1 1V7l2.5 2.5V11H8.8L8 16l-.8-5H3.5V9.5L6 7V3.5l-1-1z" {}
        }
    }
}

fn conversation(reader: &Reader<'_>, view: &View, channel: &Channel) -> Markup {
    let kind = match channel.kind {
        Kind::Direct { .. } | Kind::Group => "Direct message",
        Kind::Channel if channel.is_private => "Private channel",
        Kind::Channel => "Public channel",
    };
    html! {
        header {
            h2 { (sign(channel)) " " (title(reader.workspace, channel)) }
            p {
                (kind) " · " (counted(channel.members.len(), "member"))
                @if channel.is_archived { " · archived" }
                @if !channel.topic.is_empty() { " · " (channel.topic) }
                @if let Some(user) = person(reader.workspace, channel) { (as_seen_by(user, view, channel)) }
            }
            (members(reader.workspace, channel))
            (pins(reader, channel))
        }
        (messages(reader, channel))
    }
}

/// A link to the direct message with the times of the person's time zone, unless these are shown already.
fn as_seen_by(user: &User, view: &View, channel: &Channel) -> Markup {
    let theirs = View {
        tz: user.tz.clone(),
        ..view.clone()
    };
    html! {
        @if user.tz != view.tz() && user.tz != time_zone::DEFAULT {
            " · " a href=(theirs.link("channel", &channel.name)) { "as seen in " (user.tz) }
        }
    }
}

fn members(workspace: &Workspace, channel: &Channel) -> Markup {
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
        @for id in channel.members.iter().take(SHOWN_MEMBERS) { span.pill { (name_of(id)) } }
        @if channel.members.len() > SHOWN_MEMBERS {
            span.pill { "and " (channel.members.len() - SHOWN_MEMBERS) " more" }
        }
    }
}

/// Links to the pinned messages, the latest pin first.
fn pins(reader: &Reader<'_>, channel: &Channel) -> Markup {
    let pinned = channel.messages.iter();
    let pinned = pinned.filter_map(|message| Some((message.pinned.as_ref()?, message)));
    let mut pinned: Vec<(&Pinned, &Message)> = pinned.collect();
    pinned.sort_by_key(|(pin, _)| Reverse(pin.at));
    html! {
        @if !pinned.is_empty() {
            ul.pins {
                @for (_, message) in pinned.iter().take(SHOWN_PINS) {
                    li {
                        (pin_sign()) " " a href={ "#" (anchor(message)) } { (reader.clock.of_message(&message.ts)) }
                        " " (reader.line(message.text.lines().next().unwrap_or_default()))
                    }
                }
                @if pinned.len() > SHOWN_PINS { li { "and " (pinned.len() - SHOWN_PINS) " more" } }
            }
        }
    }
}

/// The id of the message's element.
fn anchor(message: &Message) -> String {
    format!("message-{}", message.ts)
}

fn messages(reader: &Reader<'_>, channel: &Channel) -> Markup {
    html! {
        section {
            @if channel.messages.is_empty() { p.empty { "No messages yet." } }
            @for parent in channel.messages.iter().filter(|message| !message.is_reply()) {
                (message(reader, parent))
                @for reply in channel.messages.iter().filter(|reply| reply.is_reply_to(&parent.ts)) {
                    (message(reader, reply))
                }
            }
        }
    }
}

fn message(reader: &Reader<'_>, message: &Message) -> Markup {
    let author = reader.workspace.user(&message.user);
    let author = author.map_or("unknown", |user| user.name.as_str());
    let time = |ts: &str| reader.clock.of_message(ts);
    html! {
        article.reply[message.is_reply()].pinned[message.pinned.is_some()] id=(anchor(message)) {
            div.face { (author.chars().take(1).collect::<String>()) }
            div.body {
                @if let Some(pin) = &message.pinned { div.pin { (pin_sign()) " Pinned by " (reader.name(&pin.by)) } }
                div.who {
                    b { (author) } @if !message.bot_id.is_empty() { span.app { "APP" } } time title=(message.ts) { (time(&message.ts)) }
                    @if let Some(edited) = &message.edited { " " span.edited title=(time(&edited.ts)) { "(edited)" } }
                }
                @match message.blocks.as_ref().and_then(Value::as_array) {
                    Some(blocks) => { @for value in blocks { (reader.block(value)) } }
                    None => (reader.mrkdwn(&message.text)),
                }
            }
        }
    }
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

//! The methods that the sandbox has.

use super::{
    Answer, Call, chat, conversations, direct, history, lists, membership, pins, reactions, users,
    views,
};
use crate::workspace::Workspace;

/// A method of Slack's Web API.
pub(crate) struct Method {
    pub name: &'static str,
    /// By Slack's tiers: 20, 50 or 100, as its pages and slackapi/java-slack-sdk's `MethodsRateLimits` say. A special
    /// limit of hundreds a minute is 600.
    pub calls_per_minute: usize,
    pub body: Body,
    pub answer: fn(&mut Workspace, &Call<'_>) -> Answer,
}

/// The bodies that a method reads, as its page says under "Accepted content types".
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Form,
    FormOrJson,
}

use Body::{Form, FormOrJson};

/// Returns the method with this name, if Slack has it.
pub(crate) fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

const fn entry(
    name: &'static str,
    calls_per_minute: usize,
    body: Body,
    answer: fn(&mut Workspace, &Call<'_>) -> Answer,
) -> Method {
    Method {
        name,
        calls_per_minute,
        body,
        answer,
    }
}

#[rustfmt::skip]
pub(crate) const METHODS: &[Method] = &[
    entry("api.test", 100, FormOrJson, |_, call| users::api_test(call)),
    entry("auth.test", 600, FormOrJson, |w, call| Ok(users::auth_test(w, call))),
    entry("users.lookupByEmail", 50, Form, |w, call| users::lookup_by_email(w, call)),
    entry("users.info", 100, Form, |w, call| users::info(w, call)),
    entry("users.list", 20, Form, |w, call| users::list(w, call)),
    entry("users.conversations", 50, Form, |w, call| lists::of_user(w, call)),
    entry("conversations.create", 20, FormOrJson, conversations::create),
    entry("conversations.archive", 20, FormOrJson, conversations::archive),
    entry("conversations.unarchive", 20, FormOrJson, |w, call| conversations::unarchive(w, call)),
    entry("conversations.rename", 20, FormOrJson, conversations::rename),
    entry("conversations.setTopic", 20, FormOrJson, conversations::set_topic),
    entry("conversations.setPurpose", 20, FormOrJson, conversations::set_purpose),
    entry("conversations.list", 20, Form, |w, call| lists::list(w, call)),
    entry("conversations.info", 50, Form, |w, call| conversations::info(w, call)),
    entry("conversations.members", 100, Form, |w, call| membership::members(w, call)),
    entry("conversations.invite", 50, FormOrJson, membership::invite),
    entry("conversations.kick", 50, FormOrJson, membership::kick),
    entry("conversations.join", 50, FormOrJson, membership::join),
    entry("conversations.leave", 50, FormOrJson, membership::leave),
    entry("conversations.open", 50, FormOrJson, direct::open),
    entry("conversations.close", 20, FormOrJson, direct::close),
    entry("conversations.history", 50, Form, |w, call| history::history(w, call)),
    entry("conversations.replies", 50, Form, |w, call| history::replies(w, call)),
    entry("chat.postMessage", 600, FormOrJson, chat::post_message),
    entry("chat.postEphemeral", 100, FormOrJson, chat::post_ephemeral),
    entry("chat.update", 50, FormOrJson, chat::update),
    entry("chat.delete", 50, FormOrJson, chat::delete),
    entry("chat.getPermalink", 600, Form, |w, call| chat::get_permalink(w, call)),
    entry("pins.add", 20, FormOrJson, pins::add),
    entry("pins.remove", 20, FormOrJson, pins::remove),
    entry("pins.list", 20, Form, |w, call| pins::list(w, call)),
    entry("reactions.add", 50, FormOrJson, reactions::add),
    entry("reactions.remove", 20, FormOrJson, reactions::remove),
    entry("reactions.get", 50, Form, |w, call| reactions::get(w, call)),
    entry("reactions.list", 20, Form, |w, call| reactions::list(w, call)),
    entry("views.publish", 100, FormOrJson, views::publish),
];

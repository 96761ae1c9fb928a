//! Lists of conversations.

use serde_json::{Value, json};

use super::{Answer, Call, Refusal, page, refuse, scope, shapes};
use crate::workspace::{Channel, Workspace};

pub(super) fn list(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let wanted = Wanted::of(call)?;
    listed(workspace, call, |channel| {
        let is_visible = !channel.is_private || call.is_in(channel);
        (is_visible && wanted.holds(channel)).then(|| shapes::listed(workspace, channel, call))
    })
}

/// The channels that the bot is a member of, or those of them that the user `user` is in too.
pub(super) fn of_user(workspace: &Workspace, call: &Call<'_>) -> Answer {
    let wanted = Wanted::of(call)?;
    let user = call.argument("user");
    if user.is_some_and(|user| workspace.user(user).is_none()) {
        return refuse("user_not_found");
    }
    listed(workspace, call, |channel| {
        let is_shared = user.is_none_or(|user| channel.members.contains(user));
        (call.is_in(channel) && is_shared && wanted.holds(channel)).then(|| {
            let mut shown = shapes::listed(workspace, channel, call);
            // This method omits the field.
            if let Value::Object(fields) = &mut shown {
                fields.remove("is_member");
            }
            shown
        })
    })
}

fn listed(
    workspace: &Workspace,
    call: &Call<'_>,
    shown: impl FnMut(&Channel) -> Option<Value>,
) -> Answer {
    let limit = call.page_limit(workspace, 100, 999)?;
    let (channels, metadata) = page(workspace, call, limit, &workspace.channels, shown)?;
    Ok(json!({ "channels": channels, "response_metadata": metadata }))
}

/// The conversations that a list was asked for.
struct Wanted<'a> {
    types: Vec<&'a str>,
    archived: bool,
}

impl<'a> Wanted<'a> {
    /// Checks the scope that each type needs.
    fn of(call: &'a Call<'_>) -> Result<Self, Refusal> {
        let types = call.argument("types").unwrap_or("public_channel");
        let types: Vec<&str> = types.split(',').map(str::trim).collect();
        for name in &types {
            if !["public_channel", "private_channel", "mpim", "im"].contains(name) {
                return refuse("invalid_types");
            }
            call.needs(&scope(name, "read"))?;
        }
        Ok(Self {
            types,
            archived: !call.flag("exclude_archived"),
        })
    }

    fn holds(&self, channel: &Channel) -> bool {
        self.types.contains(&channel.type_name()) && (self.archived || !channel.is_archived)
    }
}

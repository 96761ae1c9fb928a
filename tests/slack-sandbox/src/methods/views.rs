//! The home tab of the app.

use serde_json::{Map, Value, json};

use super::{Answer, Call, Refusal, refuse};
use crate::workspace::{APP_ID, TEAM_ID, Workspace, epoch_micros};

const MAX_VIEW_BYTES: usize = 250_000;

pub(super) fn publish(workspace: &mut Workspace, call: &Call<'_>) -> Answer {
    let user = call.required("user_id")?;
    let text = call.required("view")?;
    if workspace.user(user).is_none() {
        return invalid("invalid `user_id`");
    }
    let Ok(Value::Object(view)) = text.parse() else {
        return invalid("invalid `view`");
    };
    if text.len() > MAX_VIEW_BYTES {
        return refuse("view_too_large");
    }
    if view.get("type") != Some(&json!("home")) {
        return invalid("[ERROR] must be `home` [json-pointer:/view/type]");
    }
    let Some(Value::Array(blocks)) = view.get("blocks") else {
        return invalid("[ERROR] missing required field: blocks [json-pointer:/view]");
    };
    let before = workspace.homes.get(user);
    if let Some(hash) = call.argument("hash")
        && before.is_none_or(|before| before["hash"] != hash)
    {
        return refuse("hash_conflict");
    }
    let id = before.map_or_else(
        || json!(format!("V{:08}", workspace.homes.len())),
        |before| before["id"].clone(),
    );
    let micros = epoch_micros();
    let text_of = |name: &str| view.get(name).cloned().unwrap_or_else(|| json!(""));
    let published = json!({
        "id": id,
        "team_id": TEAM_ID,
        "app_id": APP_ID,
        "bot_id": call.token.bot_id,
        "type": "home",
        "blocks": blocks,
        "private_metadata": text_of("private_metadata"),
        "callback_id": text_of("callback_id"),
        "external_id": text_of("external_id"),
        "state": { "values": {} },
        "hash": format!("{}.{}", micros / 1_000_000, micros % 1_000_000),
        "clear_on_close": false,
        "notify_on_close": false,
        "close": null,
        "submit": null,
        "previous_view_id": null,
        "root_view_id": id,
    });
    workspace.homes.insert(user.to_owned(), published.clone());
    Ok(json!({ "view": published }))
}

fn invalid(message: &str) -> Answer {
    let metadata = json!({ "messages": [message] });
    Err(Refusal {
        error: "invalid_arguments".to_owned(),
        more: Map::from_iter([("response_metadata".to_owned(), metadata)]),
    })
}

//! What a request says: the token and the arguments, in the places in which Slack looks for them.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::methods::{Body, Method};

#[derive(Debug, Default)]
pub(super) struct Request {
    pub token: Option<String>,
    /// Without the token. Other values than strings are JSON.
    pub arguments: BTreeMap<String, String>,
    /// What Slack would do differently.
    pub warnings: Vec<&'static str>,
    /// Why Slack can't read the body.
    pub error: Option<&'static str>,
}

impl Request {
    /// A token in the header wins over one among the arguments. The arguments in the body win over those in the query.
    pub fn of(method: Option<&Method>, query: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let arguments = serde_urlencoded::from_str(query).unwrap_or_default();
        let mut request = Self {
            arguments,
            ..Self::default()
        };
        if !body.is_empty() {
            request.read(method, headers, body);
        }
        let in_arguments = request.arguments.remove("token");
        request.token = bearer(headers).map(str::to_owned).or(in_arguments);
        request
    }

    fn read(&mut self, method: Option<&Method>, headers: &HeaderMap, body: &[u8]) {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_lowercase();
        let (kind, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
        let charset = parameters
            .split(';')
            .find_map(|parameter| parameter.trim().strip_prefix("charset="));
        if charset.is_some_and(|charset| !["utf-8", "iso-8859-1"].contains(&charset)) {
            self.error = Some("invalid_charset");
            return;
        }
        match kind.trim() {
            "application/x-www-form-urlencoded" => {
                if charset.is_some() {
                    self.warnings.push("superfluous_charset");
                }
                match serde_urlencoded::from_bytes::<BTreeMap<String, String>>(body) {
                    Ok(form) => self.arguments.extend(form),
                    Err(_) => self.error = Some("invalid_form_data"),
                }
            }
            "application/json" => {
                if charset.is_none() {
                    self.warnings.push("missing_charset");
                }
                // The other methods don't look at it.
                if method.is_some_and(|method| method.body == Body::FormOrJson) {
                    self.read_json(body);
                }
            }
            "" => self.error = Some("missing_post_type"),
            _ => self.error = Some("invalid_post_type"),
        }
    }

    /// A token among the fields is ignored: "To make use of sending JSON on write operations, you must provide your
    /// token value using an Authorization HTTP header",
    /// <https://docs.slack.dev/changelog/2017-10-keeping-up-with-the-jsons>.
    fn read_json(&mut self, body: &[u8]) {
        let fields = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => {
                self.error = Some("json_not_object");
                return;
            }
            Err(_) => {
                self.error = Some("invalid_json");
                return;
            }
        };
        let fields = fields.into_iter().filter(|(name, _)| name != "token");
        self.arguments
            .extend(fields.filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((name, text)),
                other => Some((name, other.to_string())),
            }));
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

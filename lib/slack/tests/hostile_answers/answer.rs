//! Generates hostile responses.

use std::fmt;

use hostile_input::{anything, mutated, text};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use wiremock::{
    ResponseTemplate,
    http::{HeaderName, HeaderValue},
};

use crate::call::Call;

#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

impl Answer {
    pub fn template(&self) -> ResponseTemplate {
        let answer = ResponseTemplate::new(self.status).set_body_bytes(self.body.clone());
        self.headers.iter().fold(
            answer,
            |answer, (name, value)| match HeaderValue::from_bytes(value) {
                Ok(value) => answer.append_header(HeaderName::from_static(name), value),
                Err(_) => answer,
            },
        )
    }
}

pub fn hostile_answer() -> impl Strategy<Value = (Call, Answer)> {
    select(&Call::ALL[..]).prop_flat_map(|call| {
        let answer = (status(), vec(header(), 0..4), body(call.answer()));
        let answer = answer.prop_map(|(status, headers, body)| Answer {
            status,
            headers,
            body,
        });
        (Just(call), answer)
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![8 => Just(200), 2 => Just(429), 1 => 200..600_u16]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let time = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        Just("18446744073709551615".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        text(),
    ];
    prop_oneof![
        time.prop_map(|time| ("retry-after", time.into_bytes())),
        vec(any::<u8>(), 0..8).prop_map(|time| ("retry-after", time)),
        text().prop_map(|scopes| ("x-oauth-scopes", scopes.into_bytes())),
        select(&["gzip", "br", "deflate", "identity", "x"][..])
            .prop_map(|coding| ("content-encoding", coding.into())),
        text().prop_map(|kind| ("content-type", kind.into_bytes())),
    ]
    .prop_filter("a header that a server can send", |(_, value)| {
        value.len() < 8_000
    })
}

fn body(documented: Value) -> impl Strategy<Value = Vec<u8>> {
    let refusal = (code(), text(), text(), anything()).prop_map(|(error, needed, provided, errors)| {
        json!({ "ok": false, "error": error, "needed": needed, "provided": provided, "errors": errors })
    });
    let whole = documented.to_string().into_bytes();
    prop_oneof![
        4 => mutated(documented).prop_map(|body| body.to_string().into_bytes()),
        2 => refusal.prop_map(|body| body.to_string().into_bytes()),
        1 => anything().prop_map(|body| body.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..100),
        1 => text().prop_map(String::into_bytes),
        1 => (0..whole.len()).prop_map(move |end| whole[..end].to_vec()),
    ]
}

fn code() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("missing_scope"),
        Just("ratelimited"),
        Just("internal_error"),
        Just("is_archived"),
        Just("no_permission"),
    ];
    prop_oneof![known.prop_map(str::to_owned), text()]
}

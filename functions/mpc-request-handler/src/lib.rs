//! Starts workflows for HTTP requests about contexts and people. A context is something that the library's people work
//! on together, such as a guide; in Slack it is a channel.
//!
//! | route | workflow | body |
//! |---|---|---|
//! | `POST /contexts` | `create-channel` | the workflow's request |
//! | `DELETE /contexts/{channelName}` | `delete-channel` | none |
//! | `PATCH /contexts/{channelName}/members` | `change-channel-members` | the workflow's request without `channelName` |
//! | `POST /contexts/{channelName}/messages` | `notify-private-channel`, or `notify-public-channel` if `visibility` is `public` | the workflow's request without `channelName` |
//! | `POST /people/{email}/messages` | `notify-person` | the workflow's request without `email` |
//! | `POST /items/{id}` | `update-item` | the workflow's request without `itemId` |
//!
//! Each request has the header `Idempotency-Key`: a unique id of the request, which stays the same when the request
//! is sent again. Sending a request again starts nothing and returns the same response.
//!
//! | status | when | body |
//! |---|---|---|
//! | 202 | the workflow was started, by this request or an earlier one with its key | `executionId` |
//! | 400 | the request breaks a rule | `error`, `field`, `message` |
//! | 404 | the route does not exist | `error`, `message` |
//! | 409 | the key was used for a different request to this workflow | `error`, `message` |
//! | 500 | an operator must fix the configuration or the role | `error`, `message` |
//! | 503 | Step Functions is temporarily unavailable; it is safe to send the request again | `error`, `message` |
//!
//! Source of the header: "The Idempotency-Key HTTP Header Field", IETF draft.

use std::collections::HashMap;

use apgl_client::{Client, Operation, StartError};
use apgl_contract::{
    InvalidField,
    decode::{decode, parse},
};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, json};

const KEY_HEADER: &str = "Idempotency-Key";
const CHANNEL_NAME: &str = "channelName";
const EMAIL: &str = "email";
const ITEM_ID: &str = "itemId";
/// The variables of a route's path, and the fields of requests that they are.
const IN_PATH: [(&str, &str); 3] = [
    (CHANNEL_NAME, CHANNEL_NAME),
    (EMAIL, EMAIL),
    ("id", ITEM_ID),
];
const VISIBILITY: &str = "visibility";
/// In seconds.
const RETRY_AFTER: &str = "5";

/// A response in API Gateway's payload format 2.0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub status_code: u16,
    pub headers: HashMap<&'static str, &'static str>,
    pub body: String,
}

/// Why nothing was started.
#[derive(Debug, PartialEq, Eq)]
enum NotStarted {
    Invalid(InvalidField),
    NoSuchRoute,
    Start(StartError),
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    operation: Operation,
    key: String,
    request: Value,
}

/// Starts the workflow that the request asks for.
pub async fn handle(client: &Client, event: Value) -> Answer {
    let request_id = event.pointer("/requestContext/requestId");
    let request_id = request_id.and_then(Value::as_str).map(str::to_owned);
    match start(client, event).await {
        Ok(arn) => {
            tracing::info!(
                http.request_id = request_id,
                executionId = arn,
                "started the workflow"
            );
            answer(202, &json!({ "executionId": arn }))
        }
        Err(error) => {
            let answer = error.answer();
            let (status, reason) = (answer.status_code, error.reason());
            if status >= 500 {
                tracing::error!(
                    http.request_id = request_id,
                    http.status = status,
                    error = reason,
                    "the workflow was not started"
                );
            } else {
                tracing::info!(
                    http.request_id = request_id,
                    http.status = status,
                    error = reason,
                    "refused the request"
                );
            }
            answer
        }
    }
}

async fn start(client: &Client, event: Value) -> Result<String, NotStarted> {
    let Asked {
        operation,
        key,
        request,
    } = read(event)?;
    let execution = client.start(operation, &key, &request).await;
    Ok(execution.map_err(NotStarted::Start)?.arn().to_owned())
}

fn read(event: Value) -> Result<Asked, NotStarted> {
    let event: ApiGatewayV2httpRequest = decode(event).map_err(NotStarted::Invalid)?;
    let route = event.route_key.as_deref().unwrap_or_default();
    let operation = match route {
        "POST /contexts" => Operation::CreateChannel,
        "DELETE /contexts/{channelName}" => Operation::DeleteChannel,
        "PATCH /contexts/{channelName}/members" => Operation::ChangeChannelMembers,
        "POST /contexts/{channelName}/messages" => Operation::NotifyPrivateChannel,
        "POST /people/{email}/messages" => Operation::NotifyPerson,
        "POST /items/{id}" => Operation::UpdateItem,
        _ => return Err(NotStarted::NoSuchRoute),
    };
    let key = event.headers.get(KEY_HEADER).map(|key| key.to_str());
    let key = match key {
        Some(Ok(key)) if !key.trim().is_empty() => key.trim().to_owned(),
        Some(Ok(_)) | None => return Err(invalid(KEY_HEADER, "is required")),
        Some(Err(_)) => {
            return Err(invalid(
                KEY_HEADER,
                "must contain only visible ASCII characters",
            ));
        }
    };
    let mut request = body(&event)?;
    if operation == Operation::DeleteChannel {
        // With `evenIfNotOurs` in it, anybody who may call the API could archive channels that people have made.
        if !request.values().all(Value::is_null) {
            return Err(invalid("body", "must be empty"));
        }
        request.clear();
    }
    take_from_path(&event, &mut request)?;
    let operation = match operation {
        Operation::NotifyPrivateChannel => audience(&mut request)?,
        other => other,
    };
    Ok(Asked {
        operation,
        key,
        request: Value::Object(request),
    })
}

/// Puts the variables of the path into the request. API Gateway has decoded them, so `%40` arrives as `@`.
///
/// Source: "Create routes for HTTP APIs", Amazon API Gateway Developer Guide.
fn take_from_path(
    event: &ApiGatewayV2httpRequest,
    request: &mut Map<String, Value>,
) -> Result<(), NotStarted> {
    for (variable, field) in IN_PATH {
        let Some(value) = event.path_parameters.get(variable) else {
            continue;
        };
        if request.get(field).is_some_and(|value| !value.is_null()) {
            return Err(invalid(field, "must be in the path only"));
        }
        request.insert(field.to_owned(), json!(value));
    }
    Ok(())
}

/// The body, or an empty object if there is no body, or if it is `null`.
fn body(event: &ApiGatewayV2httpRequest) -> Result<Map<String, Value>, NotStarted> {
    let not_json = || invalid("body", "must be a JSON object in UTF-8");
    let body = event.body.as_deref().unwrap_or_default();
    let bytes = if event.is_base64_encoded {
        BASE64_STANDARD.decode(body).map_err(|_| not_json())?
    } else {
        body.as_bytes().to_owned()
    };
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let body: Option<Map<String, Value>> = parse(&bytes).map_err(|_| not_json())?;
    Ok(body.unwrap_or_default())
}

/// A message goes to the context's private channel unless the request says otherwise.
fn audience(request: &mut Map<String, Value>) -> Result<Operation, NotStarted> {
    match request.remove(VISIBILITY) {
        None | Some(Value::Null) => Ok(Operation::NotifyPrivateChannel),
        Some(Value::String(visibility)) if visibility == "private" => {
            Ok(Operation::NotifyPrivateChannel)
        }
        Some(Value::String(visibility)) if visibility == "public" => {
            Ok(Operation::NotifyPublicChannel)
        }
        Some(_) => Err(invalid(VISIBILITY, "must be `private` or `public`")),
    }
}

fn invalid(field: &str, rule: &str) -> NotStarted {
    NotStarted::Invalid(InvalidField::new(field, rule))
}

impl NotStarted {
    fn answer(&self) -> Answer {
        let message = self.reason();
        let of = |status, error| answer(status, &json!({ "error": error, "message": message }));
        match self {
            Self::Invalid(InvalidField { field, .. })
            | Self::Start(StartError::InvalidRequest(InvalidField { field, .. })) => answer(
                400,
                &json!({ "error": "InvalidRequest", "field": field, "message": message }),
            ),
            Self::Start(StartError::Key(_)) => answer(
                400,
                &json!({ "error": "InvalidRequest", "field": KEY_HEADER, "message": message }),
            ),
            Self::NoSuchRoute => of(404, "NotFound"),
            Self::Start(StartError::Conflict { .. }) => of(409, "Conflict"),
            Self::Start(StartError::Unavailable { .. }) => {
                let mut answer = of(503, "Unavailable");
                answer.headers.insert("retry-after", RETRY_AFTER);
                answer
            }
            Self::Start(_) => answer(
                500,
                &json!({ "error": "Internal", "message": "the workflow can't be started" }),
            ),
        }
    }

    /// What happened, without any content of the request.
    fn reason(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.to_string(),
            Self::NoSuchRoute => "there is no such route".to_owned(),
            Self::Start(error) => error.to_string(),
        }
    }
}

fn answer(status_code: u16, body: &Value) -> Answer {
    Answer {
        status_code,
        headers: HashMap::from([("content-type", "application/json")]),
        body: body.to_string(),
    }
}

/// The schemas of the bodies, each by its name.
#[cfg(feature = "schema")]
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    let request = |operation: Operation| {
        let schemas = apgl_contract::schema::all().into_iter();
        schemas
            .filter(|schemas| schemas.workflow == operation.as_str())
            .map(|schemas| schemas.request.to_value())
            .next()
            .unwrap_or_default()
    };
    let for_channel =
        |operation: Operation| without(request(operation), CHANNEL_NAME, "ChannelName");
    let mut send_message = for_channel(Operation::NotifyPrivateChannel);
    send_message["title"] = json!("SendMessage");
    send_message["description"] = json!("The body of `POST /contexts/{channelName}/messages`.");
    send_message["properties"][VISIBILITY] = json!({
        "description": "Which channel: the context's private channel, or an existing public channel, to which nobody is invited.",
        "enum": ["private", "public"],
        "default": "private",
    });
    send_message["if"] = json!({
        "properties": { VISIBILITY: { "const": "public" } }, "required": [VISIBILITY],
    });
    send_message["then"] = json!({ "properties": { "members": false } });
    let mut send_direct_message = without(request(Operation::NotifyPerson), EMAIL, "Email");
    send_direct_message["title"] = json!("SendDirectMessage");
    send_direct_message["description"] = json!("The body of `POST /people/{email}/messages`.");
    let mut change_members = for_channel(Operation::ChangeChannelMembers);
    change_members["description"] = json!("The body of `PATCH /contexts/{channelName}/members`.");
    let mut create_context = request(Operation::CreateChannel);
    create_context["description"] = json!("The body of `POST /contexts`.");
    let mut update_item = without(request(Operation::UpdateItem), ITEM_ID, "ItemId");
    update_item["description"] = json!("The body of `POST /items/{id}`.");
    let schemas = [
        ("create-context", create_context),
        ("change-members", change_members),
        ("send-message", send_message),
        ("send-direct-message", send_direct_message),
        ("update-item", update_item),
    ];
    let schemas = schemas
        .into_iter()
        .filter_map(|(name, schema)| Some((name, schemars::Schema::try_from(schema).ok()?)));
    schemas.collect()
}

/// The schema without the field that is in the path, and without the definition that only this field refers to.
#[cfg(feature = "schema")]
fn without(mut schema: Value, field: &str, definition: &str) -> Value {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.shift_remove(field);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|required| required != field);
    }
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.shift_remove(definition);
    }
    schema
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    const ANA: &str = "ana@example.com";
    const MESSAGES: &str = "POST /contexts/{channelName}/messages";
    const DIRECT: &str = "POST /people/{email}/messages";

    /// `variable` is the value of the route's variable in the path.
    fn event(route: &str, variable: Option<&str>, body: &str) -> Value {
        let name = if route == DIRECT { EMAIL } else { CHANNEL_NAME };
        let parameters = variable.map(|value| json!({ name: value }));
        json!({
            "version": "2.0", "routeKey": route, "rawPath": "/", "rawQueryString": "",
            "headers": { "idempotency-key": "request-1", "content-type": "application/json" },
            "pathParameters": parameters,
            "requestContext": {
                "http": {
                    "method": "POST", "path": "/", "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": "test",
                },
                "requestId": "r1", "routeKey": route, "stage": "$default", "timeEpoch": 1,
            },
            "body": body, "isBase64Encoded": false,
        })
    }

    #[rstest]
    #[case(
        "POST /contexts", None, r#"{"channelName":"guide-42","members":["ana@example.com"]}"#,
        Operation::CreateChannel, json!({ "channelName": "guide-42", "members": ["ana@example.com"] })
    )]
    #[case(
        "DELETE /contexts/{channelName}", Some("guide-42"), "",
        Operation::DeleteChannel, json!({ "channelName": "guide-42" })
    )]
    #[case(
        "PATCH /contexts/{channelName}/members", Some("guide-42"), r#"{"add":["ana@example.com"]}"#,
        Operation::ChangeChannelMembers, json!({ "channelName": "guide-42", "add": ["ana@example.com"] })
    )]
    #[case(
        MESSAGES, Some("guide-42"), r#"{"message":"hi"}"#,
        Operation::NotifyPrivateChannel, json!({ "channelName": "guide-42", "message": "hi" })
    )]
    #[case(
        MESSAGES, Some("news"), r#"{"message":"hi","visibility":"public"}"#,
        Operation::NotifyPublicChannel, json!({ "channelName": "news", "message": "hi" })
    )]
    #[case(
        DIRECT, Some(ANA), r#"{"message":"hi","category":"news"}"#,
        Operation::NotifyPerson, json!({ "email": ANA, "message": "hi", "category": "news" })
    )]
    fn each_route_requests_its_workflow(
        #[case] route: &str,
        #[case] variable: Option<&str>,
        #[case] body: &str,
        #[case] operation: Operation,
        #[case] request: Value,
    ) {
        let asked = read(event(route, variable, body)).unwrap();
        let expected = Asked {
            operation,
            key: "request-1".to_owned(),
            request,
        };
        assert_eq!(asked, expected);
    }

    #[test]
    fn the_id_of_an_item_is_in_the_path_only() {
        let update = |body: &str| {
            let mut event = event("POST /items/{id}", None, body);
            event["pathParameters"] = json!({ "id": "bounty:7" });
            event
        };
        let asked = read(update(r#"{"version":3}"#)).unwrap();
        assert_eq!(asked.operation, Operation::UpdateItem);
        assert_eq!(asked.request, json!({ "itemId": "bounty:7", "version": 3 }));
        let (status, answer) = refused(update(r#"{"itemId":"other"}"#));
        assert_eq!((status, &answer["field"]), (400, &json!("itemId")));
    }

    #[rstest]
    #[case(r#"{"message":"hi","visibility":null,"channelName":null}"#, json!({ "channelName": "x", "message": "hi" }))]
    #[case("null", json!({ "channelName": "x" }))]
    fn a_field_that_is_null_counts_as_absent(#[case] body: &str, #[case] request: Value) {
        let event = event(MESSAGES, Some("x"), body);
        let asked = read(event).unwrap();
        assert_eq!(asked.operation, Operation::NotifyPrivateChannel);
        assert_eq!(asked.request, request);
    }

    #[test]
    fn half_of_an_emoji_becomes_the_replacement_character() {
        let body = r#"{"message":"hi \ud83e"}"#;
        let event = event(MESSAGES, Some("x"), body);
        assert_eq!(read(event).unwrap().request["message"], "hi \u{fffd}");
    }

    #[test]
    fn a_body_may_be_encoded_in_base64() {
        let mut event = event("POST /contexts", None, "eyJjaGFubmVsTmFtZSI6IngifQ==");
        event["isBase64Encoded"] = json!(true);
        assert_eq!(read(event).unwrap().request, json!({ "channelName": "x" }));
    }

    #[rstest]
    #[case("", true)]
    #[case("null", true)]
    #[case(r#"{"evenIfNotOurs":null}"#, true)]
    #[case(r#"{"evenIfNotOurs":true}"#, false)]
    #[case(r#"{"channelName":"x"}"#, false)]
    fn a_deletion_has_no_body(#[case] body: &str, #[case] is_allowed: bool) {
        let event = || event("DELETE /contexts/{channelName}", Some("x"), body);
        if is_allowed {
            assert_eq!(
                read(event()).unwrap().request,
                json!({ "channelName": "x" })
            );
        } else {
            let (status, answer) = refused(event());
            assert_eq!((status, &answer["field"]), (400, &json!("body")));
            assert_eq!(answer["message"], "body: must be empty");
        }
    }

    fn refused(event: Value) -> (u16, Value) {
        let answer = read(event).unwrap_err().answer();
        (answer.status_code, answer.body.parse().unwrap())
    }

    #[rstest]
    #[case("not JSON", "body")]
    #[case("[]", "body")]
    #[case(r#"{"message":"hi","channelName":"x"}"#, "channelName")]
    #[case(r#"{"message":"hi","visibility":"secret"}"#, "visibility")]
    fn a_bad_body_is_rejected_with_its_field(#[case] body: &str, #[case] field: &str) {
        let event = event(MESSAGES, Some("x"), body);
        let (status, answer) = refused(event);
        assert_eq!((status, &answer["field"]), (400, &json!(field)), "{answer}");
        assert_eq!(answer["error"], "InvalidRequest");
    }

    #[rstest]
    #[case("PATCH /contexts/{channelName}/members", "channelName")]
    #[case(MESSAGES, "channelName")]
    #[case(DIRECT, "email")]
    fn a_field_in_the_path_is_not_in_the_body_as_well(#[case] route: &str, #[case] field: &str) {
        let body = json!({ field: ANA }).to_string();
        let (status, answer) = refused(event(route, Some(ANA), &body));
        assert_eq!((status, &answer["field"]), (400, &json!(field)));
        assert_eq!(
            answer["message"],
            format!("{field}: must be in the path only")
        );
    }

    /// Starts the workflow for the request with this body, and returns the status, the body and the log.
    fn started(route: &str, variable: &str, body: &Value) -> (u16, Value, String) {
        let event = event(route, Some(variable), &body.to_string());
        let (answer, log) =
            hostile_input::run(handle(&hostile_input::client("mpc-request"), event));
        (answer.status_code, answer.body.parse().unwrap(), log)
    }

    fn notice() -> Value {
        json!({
            "message": "hi", "category": "critical", "occurredAt": "2026-11-25T10:00:00Z",
            "expiresAt": "2026-11-26T10:00:00Z", "sequence": { "key": "guide-42", "number": 3 },
        })
    }

    #[rstest]
    #[case::private(MESSAGES, "guide-42", json!({
        "members": [ANA], "mention": [ANA, "bob@example.com"], "actor": "cem@example.com",
    }))]
    #[case::public(MESSAGES, "guide-42", json!({
        "visibility": "public", "mention": [ANA, "no address"], "onInvalidAddress": "skip",
    }))]
    #[case::direct(DIRECT, ANA, json!({}))]
    fn a_message_can_say_what_its_workflow_knows(
        #[case] route: &str,
        #[case] variable: &str,
        #[case] fields: Value,
    ) {
        let mut body = notice();
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let (status, answer, _) = started(route, variable, &body);
        assert_eq!(status, 202, "{answer}");
    }

    #[rstest]
    #[case(MESSAGES, "x", json!({ "mention": ["ana"] }), "mention[0]", "must be an e-mail address such as ana@example.com")]
    #[case(MESSAGES, "x", json!({ "category": "urgent" }), "category", "must be one of `action`, `news`, `bounty`, `critical`")]
    #[case(MESSAGES, "x", json!({ "visibility": "public", "expiresAt": "noon" }), "expiresAt", "must be a time from 1970 to 9999-12-30 with seconds and an offset, such as 2026-11-25T10:00:00Z")]
    #[case(DIRECT, ANA, json!({ "sequence": 3 }), "sequence", "must be an object with `key` and `number`")]
    #[case(DIRECT, ANA, json!({ "mention": [ANA] }), "mention", "is not a known field; known fields: `email`, `message`, `category`, `occurredAt`, `expiresAt`, `sequence`")]
    #[case::not_an_address(DIRECT, "ana", json!({}), "email", "must be an e-mail address such as ana@example.com")]
    #[case::encoded_twice(DIRECT, "ana%40example.com", json!({}), "email", "must be an e-mail address such as ana@example.com")]
    fn what_the_workflow_would_refuse_is_refused_with_its_field(
        #[case] route: &str,
        #[case] variable: &str,
        #[case] fields: Value,
        #[case] field: &str,
        #[case] rule: &str,
    ) {
        let mut body = json!({ "message": "hi" });
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let (status, answer, log) = started(route, variable, &body);
        assert_eq!((status, &answer["field"]), (400, &json!(field)), "{answer}");
        assert_eq!(answer["message"], format!("{field}: {rule}"));
        assert!(log.contains("refused the request"), "{log}");
    }

    #[test]
    fn the_person_is_not_in_the_log() {
        for variable in [ANA, "ana@@example.com"] {
            let (_, answer, log) = started(DIRECT, variable, &notice());
            let shown = format!("{log}{answer}").replace("such as ana@example.com", "");
            assert!(!shown.contains("ana@"), "{shown}");
        }
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({ "idempotency-key": " " }))]
    fn a_request_without_a_key_is_rejected(#[case] headers: Value) {
        let mut event = event("POST /contexts", None, r#"{"channelName":"x"}"#);
        event["headers"] = headers;
        let (status, answer) = refused(event);
        assert_eq!(status, 400);
        assert_eq!(answer["message"], "Idempotency-Key: is required");
    }

    #[test]
    fn any_other_route_is_not_found() {
        let (status, answer) = refused(event("GET /contexts", None, ""));
        assert_eq!((status, &answer["error"]), (404, &json!("NotFound")));
    }

    #[rstest]
    #[case(StartError::Unavailable { action: "StartExecution", reason: "ThrottlingException".to_owned() }, 503)]
    #[case(StartError::Refused { action: "StartExecution", reason: "AccessDeniedException".to_owned() }, 500)]
    fn an_error_that_the_sender_cannot_fix_is_not_a_4xx(
        #[case] error: StartError,
        #[case] status: u16,
    ) {
        let answer = NotStarted::Start(error).answer();
        assert_eq!(answer.status_code, status);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
        assert!(!answer.body.contains("AccessDenied"));
    }
}

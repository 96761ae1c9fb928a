//! What the deployed function returns and logs about untrusted input.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// Would become a log line of its own if it were not escaped. Also contains a terminal escape sequence.
const FORGED: &str = "x\"}\r\n{\"level\":\"INFO\",\"forged\":true}\n\u{2028}\u{1b}[2J";
/// No error and no log may contain it.
const CONFIDENTIAL: &str = "classified";

/// Payloads whose execution and workflow try to forge a log line, and whose requests contain confidential text:
/// requests that are rejected because of it, requests that are accepted, and payloads without a request.
fn payloads() -> Vec<String> {
    let text = format!("{CONFIDENTIAL} {FORGED}");
    let step = |request: Value| {
        json!({
            "run": { "executionId": FORGED, "workflow": FORGED },
            "input": { "operation": "notify-private-channel", "request": request },
        })
    };
    let mut payloads = [
        step(json!({ "channelName": text, "message": text })),
        step(json!({ "channelName": "x", "message": text, "members": [text] })),
        step(json!({ "channelName": "x", "message": { "text": text, (text.as_str()): text } })),
        step(json!({ "channelName": "x", "message": text })),
        step(json!(text)),
        json!({ "run": text, "input": text }),
        json!(text),
    ]
    .map(|payload| payload.to_string())
    .to_vec();
    payloads.push(text);
    payloads.push(format!("{}\"{CONFIDENTIAL}\"", "[".repeat(200)));
    payloads
}

#[test]
fn no_input_forges_a_log_line_or_appears_in_one() {
    let lines = log_of("JSON");
    for line in &lines {
        let line: Value = line.parse().unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
        assert!(line.get("forged").is_none(), "{line}");
    }
    let of_the_run = |line: &&String| line.parse::<Value>().unwrap()["executionId"] == FORGED;
    assert_eq!(lines.iter().filter(of_the_run).count(), 4, "{lines:#?}");
}

#[test]
fn no_input_forges_a_line_of_a_plain_text_log() {
    let lines = log_of("Text");
    assert!(lines.len() >= 6, "{lines:#?}");
    for line in lines {
        let (time, _) = line.split_once(' ').unwrap_or_default();
        assert!(
            time.len() > 20 && time.ends_with('Z'),
            "no line of ours: {line}"
        );
        assert!(!line.contains(char::is_control), "{line}");
    }
}

#[test]
fn half_of_an_emoji_becomes_the_replacement_character() {
    let step = json!({
        "run": { "executionId": "e1", "workflow": "w" },
        "input": {
            "operation": "notify-public-channel",
            "request": { "channelName": "x", "message": "MESSAGE" },
        },
    });
    let payload = step.to_string().replace("MESSAGE", r"cut \ud83e");
    let (answers, _) = run("JSON", vec![payload]);
    let answer: Value = answers[0].parse().unwrap();
    assert_eq!(answer["message"]["text"], "cut \u{fffd}");
}

/// Runs the function on every payload, and returns the lines that it logs.
fn log_of(format: &str) -> Vec<String> {
    let (answers, log) = run(format, payloads());
    assert_eq!(answers.len(), payloads().len());
    let errors: Vec<&String> = answers
        .iter()
        .filter(|answer| answer.contains("errorType"))
        .collect();
    assert_eq!(errors.len(), payloads().len() - 1, "{errors:#?}");
    assert!(
        !errors.iter().any(|error| error.contains(CONFIDENTIAL)),
        "{errors:#?}"
    );
    assert!(!log.contains(CONFIDENTIAL), "{log}");
    log.lines().map(str::to_owned).collect()
}

/// Runs the function on these payloads, and returns its responses and its log.
fn run(format: &str, payloads: Vec<String>) -> (Vec<String>, String) {
    let lambda = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut function = Command::new(env!("CARGO_BIN_EXE_check-request"))
        .env(
            "AWS_LAMBDA_RUNTIME_API",
            lambda.local_addr().unwrap().to_string(),
        )
        .env("AWS_LAMBDA_FUNCTION_NAME", "check-request")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_FORMAT", format)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let answers = invoke(&lambda, payloads);
    function.kill().unwrap();
    let mut log = String::new();
    function
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    function.wait().unwrap();
    (answers, log)
}

/// Sends each payload to the function, as Lambda's Runtime API does, and returns the function's responses.
fn invoke(lambda: &TcpListener, payloads: Vec<String>) -> Vec<String> {
    let mut payloads = payloads.into_iter();
    let mut answers = Vec::new();
    loop {
        let (stream, _) = lambda.accept().unwrap();
        let (request, body) = read(&stream);
        if request.starts_with("POST") {
            answers.push(body);
            write(&stream, "202 Accepted", "");
        } else if let Some(payload) = payloads.next() {
            write(&stream, "200 OK", &payload);
        } else {
            return answers;
        }
    }
}

/// The request line and the body.
fn read(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_lowercase());
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    (lines[0].to_uppercase(), String::from_utf8(body).unwrap())
}

fn write(mut stream: &TcpStream, status: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\
         lambda-runtime-aws-request-id: r1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
         lambda-runtime-invoked-function-arn: arn\r\nlambda-runtime-trace-id: Root=1-0-0\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
}

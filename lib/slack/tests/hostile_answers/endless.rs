//! Responses that do not end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use apgl_slack::SlackClient;

use crate::client;

/// A server that returns 200 and then writes `part` repeatedly, with `pause` in between, until the client stops
/// reading. Also returns the number of bytes written.
fn endless(part: &'static [u8], pause: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 8_192]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(part).is_ok() {
            count.fetch_add(part.len(), Ordering::Relaxed);
            thread::sleep(pause);
        }
    });
    (address, written)
}

/// A chunk of 64 spaces.
const SPACES: &[u8] = b"40\r\n                                                                \r\n";

#[tokio::test]
async fn an_endless_response_is_read_only_up_to_the_limit() {
    const MIB: usize = 1_024 * 1_024;
    let chunk: &'static [u8] = SPACES.repeat(1_024).leak();
    let (address, written) = endless(chunk, Duration::ZERO);
    let error = client(&format!("http://{address}"))
        .auth_test()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the outcome of auth.test is unknown: the answer is too large"
    );
    // The bytes beyond the limit are in the buffers of the two sockets.
    let written = written.load(Ordering::Relaxed);
    assert!(written < 32 * MIB, "{written} bytes");
}

#[tokio::test]
async fn a_slow_response_ends_at_the_calls_timeout() {
    let (address, _) = endless(SPACES, Duration::from_millis(50));
    let began = Instant::now();
    let error = client(&format!("http://{address}"))
        .auth_test()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the outcome of auth.test is unknown: no answer in time"
    );
    assert!(began.elapsed() < SlackClient::CALL_TIMEOUT + Duration::from_secs(2));
}

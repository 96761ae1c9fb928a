//! Options that the sandbox refuses to start with.

use rstest::rstest;
use slack_sandbox::{Options, Sandbox, SandboxError};

#[tokio::test]
async fn the_sandbox_listens_only_on_loopback() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::start(Options {
        listen,
        ..Options::default()
    })
    .await;
    assert!(matches!(refused, Err(SandboxError::NotLoopback(_))));
}

#[rstest]
#[case(0.0)]
#[case(-1.0)]
#[case(f64::NAN)]
#[tokio::test]
async fn a_time_factor_is_above_zero(#[case] time_factor: f64) {
    let refused = Sandbox::start(Options {
        time_factor,
        ..Options::default()
    })
    .await;
    assert!(matches!(refused, Err(SandboxError::TimeFactor)));
}

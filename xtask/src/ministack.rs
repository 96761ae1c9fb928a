//! Starts MiniStack, the local AWS.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    Error, Project,
    process::{Server, command, tail},
};

pub const REGION: &str = "us-east-1";
/// MiniStack accepts any key; this one is common among its users.
pub const ACCESS_KEY: &str = "test";
/// Names the MiniStack that the tests of single crates share.
pub const TEST_URL_VARIABLE: &str = "APGL_TEST_AWS_URL";
const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// Starts MiniStack on this port of 127.0.0.1, and waits until it accepts connections. Its tools must be installed.
/// Its log and its temporary files are named after `name`. It stops when the calling program ends.
pub async fn start(
    project: &Project,
    name: &str,
    port: u16,
    environment: &[(&str, String)],
) -> Result<Server, Error> {
    project.make_folders()?;
    let log = project.logs().join(format!("{name}-ministack.log"));
    // MiniStack's temporary files go here too, so `cargo clean` deletes them.
    let temporary = project.folder().join(name).join("tmp");
    fs::create_dir_all(&temporary).map_err(Error::io(temporary.display()))?;
    let mut ministack = command("python", &project.venv(), &project.folder());
    ministack
        .arg(project.root.join("tests/local-stack/ministack/main.py"))
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("AUTH", "true")
        .env("TMPDIR", temporary)
        .env("APGL_PARENT", std::process::id().to_string())
        .envs(client_environment(&url(port)))
        .envs(environment.iter().cloned());
    let mut server = Server::start("MiniStack", &mut ministack, log)?;
    let ready_by = Instant::now() + START_TIMEOUT;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if server.has_ended() || Instant::now() > ready_by {
            return Err(Error::Command {
                what: "MiniStack".to_owned(),
                status: "it did not start".to_owned(),
                log: server.log.display().to_string(),
                tail: tail(&server.log),
            });
        }
        sleep(POLL).await;
    }
    Ok(server)
}

/// MiniStack's address.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Returns the port of 127.0.0.1 if it is free, or any free port for 0.
pub fn free_port(port: u16) -> Result<u16, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_taken = |error| {
        Error::Setup(format!(
            "can't listen on {address}: {error}. Is another local stack running?"
        ))
    };
    // MiniStack would share a port that another MiniStack listens on.
    if port != 0 && TcpStream::connect(address).is_ok() {
        return Err(is_taken(std::io::ErrorKind::AddrInUse.into()));
    }
    let listener = TcpListener::bind(address).map_err(is_taken)?;
    let address = listener.local_addr().map_err(is_taken)?;
    Ok(address.port())
}

/// The environment variables that an AWS client needs to reach MiniStack.
pub fn client_environment(url: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", url.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.to_owned()),
    ]
}

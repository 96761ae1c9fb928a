//! The shared HTTP client for AWS and Slack: HTTP/1.1 with reqwest, TLS with rustls and ring.
//!
//! The trusted root certificates are compiled in: Mozilla's, from the crate `webpki-roots`. The system's
//! certificates would have to be read and parsed at each cold start, once for AWS and once for Slack, which takes
//! longer than the rest of the cold start (`docs/performance.md`). If the variable `SSL_CERT_FILE` names a file of
//! certificates, these are trusted instead, for example in a network with a TLS-intercepting proxy.

use std::{env, path::Path, sync::LazyLock, time::Duration};

use reqwest::{ClientBuilder, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// OpenSSL's name for this variable, which other tools use as well.
const CERTIFICATES: &str = "SSL_CERT_FILE";

/// How long a connection may be idle and be used again. While Lambda freezes an environment, a server may close a
/// connection, or the network may forget it; a request on it then takes until its time-out. Servers of AWS close
/// connections after 20 seconds (vectordotdev/vector#9703), and reqwest's default is 90. The time passes during a
/// freeze as well (measured for up to 181 seconds: aws/aws-lambda-web-adapter#830).
const LONGEST_IDLE: Duration = Duration::from_secs(15);

/// The file that `SSL_CERT_FILE` names can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("environment variable SSL_CERT_FILE must name a readable file of certificates (PEM)")]
pub struct TrustError;

/// A client that follows no redirects, trusts the root certificates of this crate, and uses no connection again
/// that was idle for long. The caller sets the time-outs of requests.
///
/// # Errors
/// [`TrustError`] if `SSL_CERT_FILE` is set but can't be used.
pub fn client() -> Result<ClientBuilder, TrustError> {
    static TLS: LazyLock<Result<ClientConfig, TrustError>> = LazyLock::new(|| {
        let file = env::var_os(CERTIFICATES).filter(|file| !file.is_empty());
        Ok(tls_trusting(roots(file.as_deref().map(Path::new))?))
    });
    let builder = ClientBuilder::new()
        .redirect(Policy::none())
        .pool_idle_timeout(LONGEST_IDLE);
    Ok(builder.tls_backend_preconfigured(TLS.clone()?))
}

fn tls_trusting(roots: RootCertStore) -> ClientConfig {
    let mut tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let Some(file) = file else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|_| TrustError)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        // Skip a certificate that rustls can't use, and keep the others.
        let _ = roots.add(certificate.map_err(|_| TrustError)?);
    }
    if roots.is_empty() {
        return Err(TrustError);
    }
    Ok(roots)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, path::PathBuf, sync::Arc};

    use reqwest::StatusCode;
    use rstest::rstest;
    use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        process::Command,
        time,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server that answers each connection over TLS, as `localhost`. Returns its URL and its certificate.
    async fn server() -> (String, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.into());
        let acceptor = TlsAcceptor::from(Arc::new(tls.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let Ok(mut connection) = acceptor.accept(connection).await else {
                    continue;
                };
                let _ = connection.read(&mut [0; 4_096]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                let _ = connection.write_all(answer).await;
            }
        });
        (format!("https://localhost:{port}/"), own.cert.pem())
    }

    async fn ask(url: &str, roots: RootCertStore) -> Result<String, reqwest::Error> {
        let client = ClientBuilder::new().tls_backend_preconfigured(tls_trusting(roots));
        client.build()?.get(url).send().await?.text().await
    }

    #[tokio::test]
    async fn the_client_connects_only_to_a_trusted_server() {
        let (url, certificate) = server().await;
        let file = certificate_file("roots", &certificate);
        let trusted = roots(Some(&file));
        fs::remove_file(&file).unwrap();
        assert_eq!(ask(&url, trusted.unwrap()).await.unwrap(), "hi");
        let refused = ask(&url, roots(None).unwrap()).await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
    }

    fn certificate_file(name: &str, certificate: &str) -> PathBuf {
        let file = env::temp_dir().join(format!("apgl-http-{name}-{}.pem", std::process::id()));
        fs::write(&file, certificate).unwrap();
        file
    }

    /// Set in the child process that the test starts. The child prints the response that it received.
    const ASKED: &str = "APGL_HTTP_TEST_URL";

    #[tokio::test]
    async fn the_variable_names_the_trusted_roots() {
        if let Ok(url) = env::var(ASKED) {
            let answer = match client() {
                Ok(client) => client.build().unwrap().get(url).send().await.map_or_else(
                    |error| format!("connected: {}", !error.is_connect()),
                    |answer| answer.status().to_string(),
                ),
                Err(error) => error.to_string(),
            };
            println!("<{answer}>");
            return;
        }
        let (url, certificate) = server().await;
        let file = certificate_file("client", &certificate);
        let missing = file.with_extension("missing");
        for (named, expected) in [
            (file.as_path(), "<200 OK>"),
            (Path::new(""), "<connected: false>"),
            (
                missing.as_path(),
                "<environment variable SSL_CERT_FILE must",
            ),
        ] {
            let asked = Command::new(env::current_exe().unwrap())
                .args([
                    "--exact",
                    "tests::the_variable_names_the_trusted_roots",
                    "--nocapture",
                ])
                .env(CERTIFICATES, named)
                .env(ASKED, &url)
                .output()
                .await
                .unwrap();
            let printed = String::from_utf8_lossy(&asked.stdout).into_owned();
            assert!(printed.contains(expected), "{named:?}: {printed}");
        }
        fs::remove_file(&file).unwrap();
    }

    /// A server that answers the first request on each connection. Afterwards the connection stays open, but
    /// nothing passes any more, as in a network that has forgotten it. Returns its URL.
    async fn forgetful_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let _ = connection.read(&mut [0; 4_096]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                let _ = connection.write_all(answer).await;
                open.push(connection);
            }
        });
        format!("http://127.0.0.1:{port}/")
    }

    /// The answers to two requests, the second of which is sent after this pause, on the clock that the client has.
    async fn ask_twice(
        pause: Duration,
        timeout: Duration,
    ) -> [Result<StatusCode, reqwest::Error>; 2] {
        let url = forgetful_server().await;
        let client = client().unwrap().timeout(timeout);
        let client = client.build().unwrap();
        let ask = async || Ok(client.get(&url).send().await?.status());
        let first = ask().await;
        time::pause();
        time::advance(pause).await;
        time::resume();
        [first, ask().await]
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_long_is_not_used_again() {
        for answer in ask_twice(Duration::from_secs(16), Duration::from_secs(30)).await {
            assert_eq!(answer.unwrap(), StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn calls_that_follow_each_other_share_a_connection() {
        let [first, second] = ask_twice(Duration::from_secs(1), Duration::from_secs(2)).await;
        assert_eq!(first.unwrap(), StatusCode::OK);
        // The server no longer answers on that connection.
        assert!(second.unwrap_err().is_timeout());
    }

    #[test]
    fn the_roots_of_aws_and_slack_are_compiled_in() {
        let roots = roots(None).unwrap();
        let names = |name: &[u8]| {
            let mut subjects = roots.subjects().into_iter();
            subjects.any(|subject| {
                subject
                    .as_ref()
                    .windows(name.len())
                    .any(|part| part == name)
            })
        };
        // Source: "Amazon Trust Services", and the certificate of slack.com.
        assert!(names(b"Amazon Root CA 1"));
        assert!(names(b"DigiCert Global Root G2"));
    }

    #[rstest]
    #[case::missing("no-such-file.pem")]
    #[case::without_certificates("Cargo.toml")]
    fn an_unusable_file_is_rejected(#[case] file: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert_eq!(roots(Some(&file)).unwrap_err(), TrustError);
    }
}

//! AWS, played by an HTTP client of a test's own.

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::HttpClient};
use aws_types::{SdkConfig, region::Region};

/// The configuration of an AWS client, of any service, whose requests `http` answers.
pub fn config(http: impl HttpClient + 'static) -> SdkConfig {
    let credentials = Credentials::new("id", "key", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url("http://127.0.0.1")
        .http_client(http)
        .build()
}

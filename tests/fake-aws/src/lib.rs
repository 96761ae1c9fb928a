//! AWS client configuration for tests that fake AWS with an HTTP client of their own.

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::HttpClient};
use aws_types::{SdkConfig, region::Region};

/// The configuration of an AWS client, of any service, that sends its requests to `http`.
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

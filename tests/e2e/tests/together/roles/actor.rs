//! Tries actions in the role of a function, and tells from the response whether IAM allows them.

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use e2e::{World, aws_cli::aws};
use local_stack::{execution::state_machine_arn, signed, stack::REGION};

use super::probe::Probe::{self, *};

const TOKEN_SECRET: &str = "apgl/slack-api-token";
/// No item has this key, so an update that requires an existing item changes nothing.
const NO_ONE: &str = "nobody@example.com";

/// Acts in the role of a function.
pub struct Actor {
    aws: SdkConfig,
    credentials: Credentials,
}

impl Actor {
    pub async fn in_role(world: &World, role_arn: &str) -> Self {
        let session = ["--role-session-name", "probe"];
        let assume = ["sts", "assume-role", "--role-arn", role_arn];
        let answer = aws(&world.aws, &[&assume[..], &session[..]].concat()).await;
        let part = |name: &str| answer["Credentials"][name].as_str().unwrap().to_owned();
        let credentials = Credentials::new(
            part("AccessKeyId"),
            part("SecretAccessKey"),
            Some(part("SessionToken")),
            None,
            "role",
        );
        let url = world.aws.endpoint_url().map(str::to_owned);
        let actor = Self {
            aws: apgl_aws::config(REGION.to_owned(), url, credentials.clone()).unwrap(),
            credentials,
        };
        // Otherwise invalid credentials could look like a denial.
        let (_, role) = role_arn.split_once(":role/").unwrap();
        let identity = actor.query("sts", "Action=GetCallerIdentity&Version=2011-06-15");
        let (status, identity) = identity.await;
        assert!(
            status == 200 && identity.contains(&format!(":assumed-role/{role}/")),
            "{identity}"
        );
        actor
    }

    /// Whether IAM allows the probe. Its result does not matter.
    pub async fn may(&self, probe: Probe) -> bool {
        let aws = &self.aws;
        match probe {
            ReadToken => self.reads(TOKEN_SECRET).await,
            ReadAnotherSecret => self.reads("apgl/another").await,
            ReadProfiles => {
                let keys = KeysAndAttributes::builder()
                    .keys([("email".to_owned(), text(NO_ONE))].into())
                    .build();
                let read = self.dynamodb().batch_get_item();
                is_allowed(
                    read.request_items("apgl-user-profiles", keys.unwrap())
                        .send()
                        .await,
                )
            }
            WriteProfiles => self.updates("apgl-user-profiles", "email").await,
            UpdateChannels => self.updates("apgl-channels", "name").await,
            UpdateSlackUsers => self.updates("apgl-slack-users", "email").await,
            UpdateRateLimits => {
                self.updates_item("apgl-rate-limits", &["owner", "item"])
                    .await
            }
            WriteReceipts => self.updates_item("apgl-receipts", &["id", "item"]).await,
            DeleteChannels => self.deletes("apgl-channels", "name").await,
            DeleteSlackUsers => self.deletes("apgl-slack-users", "email").await,
            WriteDeliveries => {
                let put = self.dynamodb().put_item().table_name("apgl-deliveries");
                let put = put.item("deliveryId", text(NO_ONE));
                let put = put.condition_expression("attribute_exists(nothing)");
                is_allowed(put.send().await)
            }
            WriteItems => {
                let put = self.dynamodb().put_item().table_name("apgl-items");
                let put = put.item("itemId", text(NO_ONE)).item("row", text(NO_ONE));
                let put = put.condition_expression("attribute_exists(nothing)");
                is_allowed(put.send().await)
            }
            UpdateDeliveries => self.updates("apgl-deliveries", "deliveryId").await,
            StartNotifyPrivate => self.starts("notify-private-channel").await,
            StartNotifyPublic => self.starts("notify-public-channel").await,
            StartUpdateItem => self.starts("update-item").await,
            StartRemind => self.starts("remind").await,
            StartNotifyPerson => self.starts("notify-person").await,
            StartDelete => self.starts("delete-channel").await,
            ReadExecution => {
                let read = self.sfn().describe_execution();
                is_allowed(read.execution_arn(no_execution()).send().await)
            }
            ReadHistory => {
                let read = self.sfn().get_execution_history();
                is_allowed(read.execution_arn(no_execution()).send().await)
            }
            ListExecutions => {
                let arn = state_machine_arn("notify-public-channel");
                let list = self.sfn().list_executions().state_machine_arn(arn);
                is_allowed(list.max_results(1).send().await)
            }
            PublishElsewhere => self.publishes("Elsewhere").await,
            PutEvent => self.puts_event("default").await,
            PutEventElsewhere => self.puts_event("another").await,
            // Does not look into a bucket: the only one here denies every request without TLS.
            ListBuckets => {
                let request = http::Request::get(aws.endpoint_url().unwrap());
                let (_, answer) = self.send("s3", request.body(String::new()).unwrap()).await;
                !answer.contains("AccessDenied")
            }
            InvokeStep => {
                let lambda = aws_sdk_lambda::Client::new(aws);
                let invoke = lambda.invoke().function_name("apgl-check-request:live");
                let invoke = invoke.invocation_type(InvocationType::DryRun);
                is_allowed(invoke.send().await)
            }
            LookAtBounties => {
                let sqs = aws_sdk_sqs::Client::new(aws);
                let url = format!(
                    "{}/000000000000/apgl-mpc-content-bounties",
                    aws.endpoint_url().unwrap()
                );
                let look = sqs.get_queue_attributes().queue_url(url);
                is_allowed(
                    look.attribute_names(QueueAttributeName::QueueArn)
                        .send()
                        .await,
                )
            }
            ScanTables => self.scans_any_table().await,
        }
    }

    async fn scans_any_table(&self) -> bool {
        let mut may = false;
        for table in [
            "user-profiles",
            "slack-users",
            "channels",
            "deliveries",
            "items",
            "receipts",
        ] {
            let scan = self.dynamodb().scan().table_name(format!("apgl-{table}"));
            may |= is_allowed(scan.limit(1).send().await);
        }
        may
    }

    /// CloudWatch's client uses CBOR, for which the local stack checks no policies; so this uses the Query protocol.
    /// AWS would not accept the request even with permission to publish.
    async fn publishes(&self, namespace: &str) -> bool {
        let body = format!("Action=PutMetricData&Version=2010-08-01&Namespace={namespace}");
        let (_, answer) = self.query("monitoring", &body).await;
        !answer.contains("AccessDenied")
    }

    /// Puts an event that no rule matches.
    async fn puts_event(&self, bus: &str) -> bool {
        let entry = PutEventsRequestEntry::builder().event_bus_name(bus);
        let entry = entry.source("nobody").detail_type("Probe").detail("{}");
        let events = aws_sdk_eventbridge::Client::new(&self.aws).put_events();
        is_allowed(events.entries(entry.build()).send().await)
    }

    async fn query(&self, service: &str, body: &str) -> (u16, String) {
        let request = http::Request::post(self.aws.endpoint_url().unwrap());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(service, request.body(body.to_owned()).unwrap())
            .await
    }

    async fn send(&self, service: &str, request: http::Request<String>) -> (u16, String) {
        let answer = signed::send(&self.credentials, service, request)
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn reads(&self, secret: &str) -> bool {
        let secrets = aws_sdk_secretsmanager::Client::new(&self.aws);
        is_allowed(secrets.get_secret_value().secret_id(secret).send().await)
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.aws)
    }

    fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.aws)
    }

    async fn updates(&self, table: &str, key: &str) -> bool {
        self.updates_item(table, &[key]).await
    }

    /// `keys` are all key attributes of the item.
    async fn updates_item(&self, table: &str, keys: &[&str]) -> bool {
        let keys = keys.iter().map(|key| ((*key).to_owned(), text(NO_ONE)));
        let update = self.dynamodb().update_item().table_name(table);
        let update = update
            .set_key(Some(keys.collect()))
            .update_expression("SET a = :a");
        let update = update.expression_attribute_values(":a", text("a"));
        let update = update.condition_expression("attribute_exists(nothing)");
        is_allowed(update.send().await)
    }

    async fn deletes(&self, table: &str, key: &str) -> bool {
        let delete = self.dynamodb().delete_item().table_name(table);
        is_allowed(delete.key(key, text(NO_ONE)).send().await)
    }

    /// Uses a name that no execution can have.
    async fn starts(&self, workflow: &str) -> bool {
        let start = self.sfn().start_execution().name("no such name?");
        let start = start.state_machine_arn(state_machine_arn(workflow));
        is_allowed(start.input("{}").send().await)
    }
}

/// The ARN of an execution that does not exist.
fn no_execution() -> String {
    let arn = state_machine_arn("notify-public-channel");
    arn.replace(":stateMachine:", ":execution:") + ":nobody"
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// Any response other than a denial means that IAM has allowed the call.
fn is_allowed<T, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> bool {
    let Err(error) = answer else {
        return true;
    };
    let refusal = error.as_service_error();
    let code = refusal.and_then(ProvideErrorMetadata::code);
    let code = code.unwrap_or_else(|| panic!("no response from AWS: {error:?}"));
    assert!(
        !code.contains("Token") && !code.contains("Signature"),
        "the credentials are invalid, which is not a denial: {code}"
    );
    !code.contains("AccessDenied")
}

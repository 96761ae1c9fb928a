//! What each function can and cannot do, tried with its own role.
//!
//! The local stack does not know the condition that limits `PutMetricData` to our namespace, and treats it as never
//! met. So these tests detect a grant without the condition; `cdk/test/least-privilege.test.ts` checks the
//! condition itself, and those of `PutEvents`, which the local stack's deployment does not have.
#![allow(clippy::unwrap_used)]

mod actor;
mod probe;

use e2e::{World, aws_cli::aws, unique};
use serde_json::{Value, json};

use self::{
    actor::Actor,
    probe::Probe::{self, *},
};

/// Each deployed function, and the probes that it is allowed.
const ALLOWED: [(&str, &[Probe]); 24] = [
    (
        "archive-channel",
        &[ReadToken, UpdateRateLimits, UpdateChannels, DeleteChannels],
    ),
    ("check-request", &[]),
    (
        "ensure-channel",
        &[ReadToken, UpdateRateLimits, UpdateChannels, DeleteChannels],
    ),
    ("filter-by-preference", &[ReadProfiles]),
    (
        "find-channel",
        &[ReadToken, UpdateRateLimits, UpdateChannels],
    ),
    ("find-escalation", &[]),
    ("find-reminder", &[]),
    (
        "invite-members",
        &[
            ReadToken,
            UpdateRateLimits,
            UpdateChannels,
            UpdateSlackUsers,
            DeleteSlackUsers,
        ],
    ),
    (
        "mpc-content-bounty-processor",
        &[
            StartNotifyPublic,
            StartUpdateItem,
            ReadExecution,
            LookAtBounties,
        ],
    ),
    (
        "mpc-event-handler",
        &[StartNotifyPrivate, StartNotifyPerson, StartUpdateItem],
    ),
    (
        "mpc-request-handler",
        &[
            StartNotifyPrivate,
            StartNotifyPublic,
            StartNotifyPerson,
            StartDelete,
            StartUpdateItem,
            ReadExecution,
        ],
    ),
    (
        "open-conversation",
        &[ReadToken, UpdateRateLimits, UpdateSlackUsers],
    ),
    ("plan-reminders", &[WriteItems]),
    (
        "post-message",
        &[
            ReadToken,
            UpdateRateLimits,
            UpdateChannels,
            WriteDeliveries,
            UpdateDeliveries,
        ],
    ),
    ("publish-metrics", &[]),
    ("record-item", &[WriteItems]),
    (
        "record-outcome",
        &[UpdateRateLimits, WriteReceipts, ReadHistory, PutEvent],
    ),
    (
        "remove-members",
        &[
            ReadToken,
            UpdateRateLimits,
            UpdateChannels,
            UpdateSlackUsers,
            DeleteSlackUsers,
        ],
    ),
    (
        "resolve-users",
        &[ReadToken, UpdateRateLimits, UpdateSlackUsers],
    ),
    (
        "send-escalation",
        &[
            ReadToken,
            UpdateRateLimits,
            UpdateChannels,
            WriteDeliveries,
            WriteItems,
        ],
    ),
    (
        "send-reminder",
        &[ReadToken, UpdateRateLimits, WriteDeliveries, WriteItems],
    ),
    ("sweep-reminders", &[WriteItems, StartRemind, ScanTables]),
    (
        "update-card",
        &[
            ReadToken,
            UpdateRateLimits,
            UpdateChannels,
            WriteDeliveries,
            WriteItems,
        ],
    ),
    ("watch-executions", &[ReadExecution, ListExecutions]),
];

#[tokio::test]
async fn each_function_may_do_what_it_needs_and_is_denied_everything_else() {
    let world = World::here();
    let functions = world.functions().await;
    let names: Vec<&str> = functions.keys().map(String::as_str).collect();
    assert_eq!(names, ALLOWED.map(|(function, _)| function));
    let mut wrong = Vec::new();
    for ((function, deployed), (_, allowed)) in functions.iter().zip(ALLOWED) {
        let role = deployed.role().unwrap();
        let actor = Actor::in_role(&world, role).await;
        for probe in Probe::ALL {
            let may = actor.may(probe).await;
            if may != allowed.contains(&probe) {
                let verdict = if may {
                    "is allowed to"
                } else {
                    "is not allowed to"
                };
                wrong.push(format!("{function} {verdict} {probe:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A copy of a function's role, so that no running function gets additional permissions.
async fn copy_of_role(world: &World, role: &str) -> (String, Vec<(String, Value)>) {
    let copy = unique("probe");
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": "sts:AssumeRole",
        }],
    });
    let create = ["iam", "create-role", "--role-name", &copy];
    let trust = ["--assume-role-policy-document", &trust.to_string()];
    let created = aws(&world.aws, &[&create[..], &trust[..]].concat()).await;
    let arn = created["Role"]["Arn"].as_str().unwrap().to_owned();

    let list = ["iam", "list-role-policies", "--role-name", role];
    let names = aws(&world.aws, &list).await;
    let mut policies = Vec::new();
    for name in names["PolicyNames"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let get = [
            "iam",
            "get-role-policy",
            "--role-name",
            role,
            "--policy-name",
            name,
        ];
        let policy = aws(&world.aws, &get).await["PolicyDocument"].take();
        put_policy(world, &copy, name, &policy).await;
        policies.push((name.to_owned(), policy));
    }
    assert!(!policies.is_empty(), "{role} has no policy of its own");
    (arn, policies)
}

async fn put_policy(world: &World, role: &str, name: &str, policy: &Value) {
    let put = [
        "iam",
        "put-role-policy",
        "--role-name",
        role,
        "--policy-name",
        name,
    ];
    let policy = ["--policy-document", &policy.to_string()];
    aws(&world.aws, &[&put[..], &policy[..]].concat()).await;
}

#[tokio::test]
async fn a_widened_policy_is_detected() {
    let world = World::here();
    let functions = world.functions().await;
    let role = functions["find-channel"].role().unwrap();
    let role = role.rsplit('/').next().unwrap();
    let (copy, policies) = copy_of_role(&world, role).await;
    let name = copy.rsplit('/').next().unwrap();
    let actor = Actor::in_role(&world, &copy).await;
    assert!(actor.may(UpdateChannels).await);
    for probe in [UpdateSlackUsers, WriteProfiles] {
        assert!(!actor.may(probe).await, "{probe:?}");
    }

    // Any table, where only the channels were allowed: a mistake that is easily made.
    for (policy_name, mut policy) in policies {
        for statement in policy["Statement"].as_array_mut().unwrap() {
            if statement["Action"].to_string().contains("dynamodb:") {
                statement["Resource"] = json!("*");
            }
        }
        put_policy(&world, name, &policy_name, &policy).await;
    }
    let actor = Actor::in_role(&world, &copy).await;
    for probe in [UpdateSlackUsers, WriteProfiles] {
        assert!(actor.may(probe).await, "{probe:?} was not detected");
    }

    for (probe, action) in [
        (PublishElsewhere, "cloudwatch:PutMetricData"),
        (PutEventElsewhere, "events:PutEvents"),
        (ReadAnotherSecret, "secretsmanager:GetSecretValue"),
        (ListBuckets, "s3:ListAllMyBuckets"),
        (StartDelete, "states:StartExecution"),
        (ReadExecution, "states:DescribeExecution"),
        (ReadHistory, "states:GetExecutionHistory"),
        (InvokeStep, "lambda:InvokeFunction"),
        (ScanTables, "dynamodb:Scan"),
    ] {
        assert!(!actor.may(probe).await, "{probe:?}");
        let too_much = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }],
        });
        put_policy(&world, name, "TooMuch", &too_much).await;
        assert!(actor.may(probe).await, "{probe:?} was not detected");
    }
}

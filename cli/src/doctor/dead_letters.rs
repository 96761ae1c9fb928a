//! Dead-letter queues: whether they are empty.

use aws_sdk_cloudformation::types::Stack;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{finding::Finding, stack::output};
use crate::deployment::{Deployment, refused};

/// Checks the dead-letter queues that these outputs of the stack name. Somebody must deal with their messages.
pub(super) async fn check(deployment: &Deployment, stack: &Stack, keys: &[&str]) -> Vec<Finding> {
    let sqs = aws_sdk_sqs::Client::new(&deployment.aws);
    let mut findings = Vec::new();
    for key in keys {
        let Some(url) = output(stack, key) else {
            continue;
        };
        let name = url.rsplit('/').next().unwrap_or(url);
        let attribute = QueueAttributeName::ApproximateNumberOfMessages;
        let read = sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(attribute.clone());
        let count = match read.send().await {
            Ok(read) => read
                .attributes
                .and_then(|mut attributes| attributes.remove(&attribute)),
            Err(error) => {
                let failure = refused("GetQueueAttributes", &error);
                findings.push(Finding::unchecked(&format!("queue {name}"), &failure));
                continue;
            }
        };
        findings.push(match count.as_deref() {
            None | Some("0") => Finding::good(format!("queue {name}: empty")),
            Some(count) => Finding::bad(
                format!("queue {name}: {count} dead letters, kept for 14 days"),
                "docs/alarms.md says what they are and how to send them again",
            ),
        });
    }
    findings
}

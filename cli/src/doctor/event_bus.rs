//! The bus for settled events: whether it exists. EventBridge drops an event to a bus that does not, and calls that a
//! success.

use aws_sdk_cloudformation::types::Stack;
use aws_sdk_eventbridge::operation::describe_event_bus::DescribeEventBusError;

use super::{finding::Finding, stack::output};
use crate::deployment::{Deployment, refused};

/// `None` if no bus is set.
pub(super) async fn check(deployment: &Deployment, stack: &Stack) -> Option<Finding> {
    let bus = output(stack, "SettledEventBusName")?;
    let eventbridge = aws_sdk_eventbridge::Client::new(&deployment.aws);
    let Err(error) = eventbridge.describe_event_bus().name(bus).send().await else {
        return Some(Finding::good(format!("event bus {bus}: exists")));
    };
    let is_missing = error
        .as_service_error()
        .is_some_and(DescribeEventBusError::is_resource_not_found_exception);
    Some(if is_missing {
        Finding::bad(
            format!("event bus {bus} does not exist, so settled events are lost"),
            "create it, or deploy again with the right settledEventBusName",
        )
    } else {
        let failure = refused("DescribeEventBus", &error);
        Finding::unchecked(&format!("event bus {bus}"), &failure)
    })
}

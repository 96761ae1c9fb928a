import { Arn, ArnFormat, Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import type { Settings } from "./settings.js";

/** The ARN of the named state machine, or the prefix of its executions' ARNs. */
export function statesArn(
  scope: Construct,
  resource: "stateMachine" | "execution",
  resourceName: string,
): string {
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  return Arn.format({ service: "states", resource, resourceName, arnFormat }, Stack.of(scope));
}

/** The name that callers use for a workflow's state machine. */
export function stateMachineNameOf(settings: Settings, workflow: string): string {
  return `${settings.prefix}-${workflow}`;
}

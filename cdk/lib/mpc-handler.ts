import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { LIVE } from "./live.js";
import { RustFunction } from "./rust-function.js";
import { hasStateMachineAliases } from "./settings.js";
import { statesArn } from "./states-arn.js";
import { stateMachineNameOf } from "./workflow.js";

/** A caller of the workflows: it starts them through `lib/client` and reads the executions that it started. */
export class MpcHandler extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error and fix the cause. An event or a bounty message that could not be handled becomes a dead letter. The caller of a failed request sends it again.";

  /**
   * Allows the function to start these workflows. It refers to them by name, so that neither stack blocks
   * a change or the removal of the other.
   */
  mayStart(...workflows: string[]): this {
    const hasAlias = hasStateMachineAliases(this.settings);
    const names = workflows.map((workflow) => stateMachineNameOf(this.settings, workflow));
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:StartExecution"],
        resources: names.map((name) => statesArn(this, "stateMachine", name)),
        // Step Functions authorises against the state machine's ARN; the condition allows only the alias.
        conditions: hasAlias
          ? { "ForAnyValue:StringEquals": { "states:StateMachineQualifier": LIVE } }
          : undefined,
      }),
    );
    this.mayReadExecutions(names, "states:DescribeExecution");
    this.function.addEnvironment(
      "APGL_STATE_MACHINES",
      statesArn(this, "stateMachine", this.settings.prefix),
    );
    if (hasAlias) this.function.addEnvironment("APGL_STATE_MACHINE_ALIAS", LIVE);
    return this;
  }
}

import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { LIVE } from "./live.js";
import { RustFunction } from "./rust-function.js";
import { hasStateMachineAliases } from "./settings.js";
import { statesArn } from "./states-arn.js";
import { stateMachineNameOf } from "./workflow.js";

/** A caller of the workflows: starts them through `lib/client`, and reads what it has started. */
export class MpcHandler extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error, and mend the cause. What could not be started is a dead letter, or a request that its caller sends again.";

  /**
   * May start these workflows. They are known by their names, so that neither stack holds on to the
   * other when it is changed or removed.
   */
  mayStart(...workflows: string[]): this {
    const hasAlias = hasStateMachineAliases(this.settings);
    const names = workflows.map((workflow) => stateMachineNameOf(this.settings, workflow));
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:StartExecution"],
        resources: names.map((name) => statesArn(this, "stateMachine", name)),
        // Step Functions authorises by the state machine itself; the condition leaves its alias only.
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

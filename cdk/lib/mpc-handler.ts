import { Stack, Token, Validations } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { LIVE } from "./live.js";
import { RustFunction } from "./rust-function.js";
import { hasStateMachineAliases } from "./settings.js";
import { stateMachineNameOf, statesArn } from "./workflow.js";

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
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:DescribeExecution"],
        resources: names.map((name) => `${statesArn(this, "execution", name)}:*`),
      }),
    );
    const { account, region } = Stack.of(this);
    // As cdk-nag writes what only the deployment knows.
    const place = [
      Token.isUnresolved(region) ? "<AWS::Region>" : region,
      Token.isUnresolved(account) ? "<AWS::AccountId>" : account,
    ].join(":");
    for (const name of names) {
      Validations.of(this.role).acknowledge({
        id: `AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:${place}:execution:${name}:*]`,
        reason: "It reads the executions that it has started; their names are known only then",
      });
    }
    this.function.addEnvironment(
      "APGL_STATE_MACHINES",
      statesArn(this, "stateMachine", this.settings.prefix),
    );
    if (hasAlias) this.function.addEnvironment("APGL_STATE_MACHINE_ALIAS", LIVE);
    return this;
  }
}

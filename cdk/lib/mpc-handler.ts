import { Arn, ArnFormat, Stack } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { RustFunction } from "./rust-function.js";
import { stateMachineNameOf } from "./workflow.js";

/** A caller of the workflows: starts them through `lib/client`, and reads what it has started. */
export class MpcHandler extends RustFunction {
  /**
   * May start these workflows. They are known by their names, so that neither stack holds on to the
   * other when it is changed or removed.
   */
  mayStart(...workflows: string[]): this {
    const names = workflows.map((workflow) => stateMachineNameOf(this.settings, workflow));
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:StartExecution"],
        resources: names.map((name) => this.arn("stateMachine", name)),
      }),
    );
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:DescribeExecution"],
        resources: names.map((name) => `${this.arn("execution", name)}:*`),
      }),
    );
    this.function.addEnvironment(
      "APGL_STATE_MACHINES",
      this.arn("stateMachine", this.settings.prefix),
    );
    return this;
  }

  private arn(resource: string, resourceName: string): string {
    const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
    return Arn.format({ service: "states", resource, resourceName, arnFormat }, Stack.of(this));
  }
}

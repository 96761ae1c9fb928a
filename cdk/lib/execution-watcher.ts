import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";
import { FIVE_MINUTES } from "./metrics.js";
import { RustFunction, type RustFunctionProps } from "./rust-function.js";
import { statesArn } from "./workflow.js";

/** Measures every five minutes how old the oldest running execution of each workflow is. */
export class ExecutionWatcher extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error, and mend the cause. Until then no alarm rings for executions that get old.";

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id, props);
    this.mayPublishMetrics();
    new Rule(this, "Schedule", {
      description: "Has the age of running executions measured",
      schedule: Schedule.rate(FIVE_MINUTES),
      targets: [new LambdaFunction(this.alias)],
    });
  }

  /** Which state machines it lists the running executions of. */
  watches(stateMachineNames: string[]): this {
    const arns = stateMachineNames.map((name) => statesArn(this, "stateMachine", name));
    this.role.addToPolicy(
      new PolicyStatement({ actions: ["states:ListExecutions"], resources: arns }),
    );
    this.function.addEnvironment("STATE_MACHINES", arns.join(","));
    return this;
  }
}

import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";
import { FIVE_MINUTES } from "./metrics.js";
import { RustFunction, type RustFunctionProps } from "./rust-function.js";
import type { OutcomeRecorder } from "./outcome-recorder.js";
import { statesArn } from "./states-arn.js";

/** The index of the receipts with status `RUNNING`. */
export const RUNNING = "running";

/** In a burst, it lists thousands of executions, and reports a hundred of each workflow. */
const TIMEOUT_SECONDS = 120;

/** Every five minutes, measures the age of each workflow's oldest running execution and completes receipts. */
export class ExecutionWatcher extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error and fix the cause. Until then alarms for old executions and receipts that no event has completed are late.";

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id, { timeoutSeconds: TIMEOUT_SECONDS, ...props });
    this.mayPublishMetrics();
    new Rule(this, "Schedule", {
      description: "Measures the age of running executions and completes receipts",
      schedule: Schedule.rate(FIVE_MINUTES),
      // Without a dead-letter queue: the next run makes up for one that is missed, and an alarm rings after three.
      targets: [new LambdaFunction(this.alias)],
    });
  }

  /** Watches the executions of these state machines, and completes their receipts through the recorder. */
  watches(stateMachineNames: string[], receipts: ITableV2, recorder: OutcomeRecorder): this {
    const arns = stateMachineNames.map((name) => statesArn(this, "stateMachine", name));
    this.role.addToPolicy(
      new PolicyStatement({ actions: ["states:ListExecutions"], resources: arns }),
    );
    this.mayReadExecutions(stateMachineNames, "states:DescribeExecution");
    this.mayUse(receipts, "BatchGetItem").mayQuery(receipts, RUNNING);
    this.role.addToPolicy(
      new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [recorder.queue.queueArn] }),
    );
    this.function.addEnvironment("STATE_MACHINES", arns.join(","));
    this.function.addEnvironment("RECEIPTS_TABLE", receipts.tableName);
    this.function.addEnvironment("OUTCOMES_QUEUE_URL", recorder.queue.queueUrl);
    return this;
  }
}

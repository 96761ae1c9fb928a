import { Duration } from "aws-cdk-lib";
import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { EventBus, Rule } from "aws-cdk-lib/aws-events";
import { SqsQueue } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { inBatches, newQueue } from "./queue.js";
import { RustFunction, type RustFunctionProps } from "./rust-function.js";
import { isLocal } from "./settings.js";
import type { Workflow } from "./workflow.js";

/** The `detail-type` of the events that say how an execution ended. */
const NOTIFICATION_SETTLED = "Notification Settled";

const TIMEOUT_SECONDS = 30;
/** How often a status change is received before it becomes a dead letter. */
const TRIES = 10;

/** Keeps a receipt of each execution. EventBridge sends it every status change through a queue. */
export class OutcomeRecorder extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error and fix the cause. Until then receipts, metrics and settled events are late, and no release is rolled back for executions that fail: `system-failed` needs these metrics. Notifications are not affected.";
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    // A page of a history contains the inputs and outputs of its states.
    super(scope, id, { timeoutSeconds: TIMEOUT_SECONDS, memoryMb: 256, ...props });
    const { settings } = props;
    this.mayPublishMetrics();
    this.deadLetters = newQueue(this, "DeadLetters", settings, "outcome-dead-letters");
    this.queue = newQueue(this, "Queue", settings, "outcomes", {
      // Six times the function's time-out, as AWS advises ("Using Lambda with Amazon SQS").
      visibilityTimeout: Duration.seconds(6 * TIMEOUT_SECONDS),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: TRIES },
    });
    this.alias.addEventSource(inBatches(this.queue));
    const { prefix, settledEventBusName } = settings;
    if (settledEventBusName !== undefined) {
      this.tells(settledEventBusName, `${prefix}.notifications`);
    }
  }

  /** Tells the bus how each execution ended, in events with this source. */
  private tells(busName: string, source: string): void {
    const bus = EventBus.fromEventBusName(this, "SettledEventBus", busName);
    this.function.addEnvironment("SETTLED_EVENT_BUS", busName);
    this.function.addEnvironment("SETTLED_EVENT_SOURCE", source);
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["events:PutEvents"],
        resources: [bus.eventBusArn],
        // Source: "Example policy: Send events to a custom bus in a different account", Amazon EventBridge User Guide.
        // The local stack does not know these conditions, and treats them as never met.
        conditions: isLocal(this.settings)
          ? undefined
          : {
              "ForAllValues:StringEquals": { "events:source": source },
              StringEquals: { "events:detail-type": NOTIFICATION_SETTLED },
            },
      }),
    );
  }

  /** Records every status change of these workflows' executions. */
  records(workflows: Workflow[], receipts: ITableV2, rateLimits: ITableV2 | undefined): this {
    new Rule(this, "StatusChange", {
      description: "Every status change of the workflows' executions",
      eventPattern: {
        source: ["aws.states"],
        detailType: ["Step Functions Execution Status Change"],
        detail: {
          stateMachineArn: workflows.map(({ stateMachine }) => stateMachine.stateMachineArn),
        },
      },
      targets: [new SqsQueue(this.queue, { deadLetterQueue: this.deadLetters })],
    });
    this.function.addEnvironment("RECEIPTS_TABLE", receipts.tableName);
    this.mayUse(receipts, "BatchWriteItem", "PutItem", "UpdateItem");
    if (rateLimits !== undefined) {
      this.mayUseRateLimits(rateLimits, "GetItem", "Query", "UpdateItem");
    }
    this.mayReadExecutions(
      workflows.map(({ stateMachineName }) => stateMachineName),
      "states:GetExecutionHistory",
    );
    return this;
  }
}

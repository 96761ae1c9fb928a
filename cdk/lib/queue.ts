import { Duration } from "aws-cdk-lib";
import type { IMetric } from "aws-cdk-lib/aws-cloudwatch";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { Queue, QueueEncryption, type QueueProps } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { FIVE_MINUTES } from "./metrics.js";
import { isLocal, removalPolicy, type Settings } from "./settings.js";

/** The longest retention that SQS has. By default it is 4 days, too few for a fault that begins before a holiday. */
const RETENTION = Duration.days(14);

/** A queue with the prefix, encrypted at rest and in transit, that keeps messages as long as SQS can. */
export function newQueue(
  scope: Construct,
  id: string,
  settings: Settings,
  name: string,
  props: QueueProps = {},
): Queue {
  return new Queue(scope, id, {
    queueName: `${settings.prefix}-${name}`,
    encryption: QueueEncryption.SQS_MANAGED,
    retentionPeriod: RETENTION,
    // The local stack speaks HTTP.
    enforceSSL: !isLocal(settings),
    removalPolicy: removalPolicy(settings),
    ...props,
  });
}

/** Hands the messages to a function in batches, of which it reports the messages that failed. */
export function inBatches(queue: Queue): SqsEventSource {
  return new SqsEventSource(queue, {
    batchSize: 10,
    // The steps need the remaining concurrency.
    maxConcurrency: 2,
    reportBatchItemFailures: true,
  });
}

interface Watched {
  readonly metric: IMetric;
  readonly threshold: number;
}

/** Any message at all: for a queue of dead letters. */
export function anyMessage(queue: Queue): Watched {
  const metric = queue.metricApproximateNumberOfMessagesVisible({
    period: FIVE_MINUTES,
    statistic: "Maximum",
  });
  return { metric, threshold: 1 };
}

/** A message that has been waiting for more than 15 minutes. */
export function waitingMessage(queue: Queue): Watched {
  const metric = queue.metricApproximateAgeOfOldestMessage({ period: FIVE_MINUTES });
  return { metric, threshold: 15 * 60 };
}

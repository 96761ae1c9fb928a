import { Queue, QueueEncryption, type QueueProps } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { isLocal, removalPolicy, type Settings } from "./settings.js";

/** A queue with the prefix, encrypted at rest and in transit. */
export function newQueue(
  scope: Construct,
  id: string,
  settings: Settings,
  name: string,
  props: QueueProps,
): Queue {
  return new Queue(scope, id, {
    queueName: `${settings.prefix}-${name}`,
    encryption: QueueEncryption.SQS_MANAGED,
    // The local stack speaks HTTP.
    enforceSSL: !isLocal(settings),
    removalPolicy: removalPolicy(settings),
    ...props,
  });
}

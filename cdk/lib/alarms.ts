import { Arn, ArnFormat, Stack } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  TreatMissingData,
  type IMetric,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Topic, type ITopic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { Construct } from "constructs";
import { keyOf } from "./encryption.js";
import { kebabCase, type RustFunction } from "./rust-function.js";
import { isLocal, type Settings } from "./settings.js";

export interface AlarmProps {
  readonly metric: IMetric;
  /** Rings when the metric is at least this, unless `whenSilent` is set. */
  readonly threshold: number;
  /** The number of the metric's periods in a row for which this must hold. */
  readonly periods?: number;
  /** Rings when the metric is below the threshold or has no data. */
  readonly whenSilent?: boolean;
  readonly means: string;
  readonly todo: string;
}

export interface AlarmsProps {
  readonly settings: Settings;
  readonly topic: ITopic;
}

/** The alarms of a stack. Each description says what the alarm means and what to do. */
export class Alarms extends Construct {
  readonly all: Alarm[] = [];
  private readonly settings: Settings;
  private readonly topic: ITopic;

  constructor(scope: Construct, id: string, { settings, topic }: AlarmsProps) {
    super(scope, id);
    this.settings = settings;
    this.topic = topic;
  }

  /** Adds an alarm named `<prefix>-<id>`. Missing data does not ring it, unless `whenSilent` is set. */
  add(id: string, props: AlarmProps): Alarm {
    const { metric, threshold, periods, whenSilent = false, means, todo } = props;
    const alarm = new Alarm(this, id, {
      alarmName: `${this.settings.prefix}-${kebabCase(id)}`,
      alarmDescription: `${means} ${todo} See docs/alarms.md.`,
      metric,
      threshold,
      evaluationPeriods: periods ?? 1,
      comparisonOperator: whenSilent
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: whenSilent ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    this.all.push(alarm);
    return alarm;
  }

  /** Adds a function's alarms: for failures that no retry can fix, and for running close to its time-out. */
  watchFunction(watched: RustFunction): Alarm {
    const { id } = watched.node;
    const seconds = watched.timeout.toSeconds();
    this.add(`${id}Slow`, {
      metric: watched.longest,
      threshold: 0.9 * watched.timeout.toMilliseconds(),
      periods: 3,
      means: `${id} has been running close to its time-out of ${String(seconds)} s for 15 minutes.`,
      todo: "Look at its traces to find the slow call, then at the status page of Slack or of the AWS service that is slow.",
    });
    return this.add(`${id}Errors`, {
      metric: watched.errors,
      threshold: 1,
      means: `${id} failed in a way that no retry can fix, timed out, or crashed.`,
      todo: watched.whenItFails,
    });
  }
}

/** The topic that a deployment's alarms go to: the existing one from the settings, or a new one. */
export function alarmTopic(scope: Construct, settings: Settings): ITopic {
  const { alarmEmail, alarmTopicArn } = settings;
  if (alarmTopicArn !== undefined) return knownAlarmTopic(scope, settings);
  const topic = new Topic(scope, "AlarmTopic", {
    topicName: alarmTopicName(settings),
    displayName: "APGL Notifications: alarms",
    // CloudWatch can't publish to a topic that is encrypted with AWS's own key, whose policy nobody can change.
    masterKey: keyOf(scope, settings),
    // The local stack speaks HTTP.
    enforceSSL: !isLocal(settings),
  });
  // A topic policy replaces the default policy, which allows the account's alarms to publish.
  topic.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(scope).account } },
    }),
  );
  if (alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(alarmEmail));
  return topic;
}

/** The same topic for another stack, by its ARN, so that this stack does not depend on the one that creates it. */
export function knownAlarmTopic(scope: Construct, settings: Settings): ITopic {
  const arn = settings.alarmTopicArn ?? arnOf(scope, alarmTopicName(settings));
  return Topic.fromTopicArn(scope, "AlarmTopic", arn);
}

function alarmTopicName({ prefix }: Settings): string {
  return `${prefix}-alarms`;
}

function arnOf(scope: Construct, resource: string): string {
  return Arn.format(
    { service: "sns", resource, arnFormat: ArnFormat.NO_RESOURCE_NAME },
    Stack.of(scope),
  );
}

import { Duration } from "aws-cdk-lib";
import { Metric, type MetricProps } from "aws-cdk-lib/aws-cloudwatch";
import type { Settings } from "./settings.js";

/** The metrics that functions publish themselves, each with the dimension `Workflow`. */
export const METRICS_NAMESPACE = "APGL/Notifications";

/** Calls that Slack refused by a limit. */
export const SLACK_REFUSALS = "SlackRefusals";
/** Failures because Slack does not accept the token, or its scopes. */
export const TOKEN_REJECTIONS = "TokenRejections";

/** How old the oldest running execution of a workflow is, in seconds. */
export const OLDEST_RUNNING_EXECUTION = "OldestRunningExecution";

/** What a function logs when Slack refuses a call by a limit. */
export const SLACK_REFUSED = "Slack refused a call by a limit";

export const FIVE_MINUTES = Duration.minutes(5);

/**
 * The namespace of what is counted from log lines. Such metrics have no dimension that tells
 * deployments apart.
 */
export function logMetricsNamespace({ prefix }: Settings): string {
  return `${METRICS_NAMESPACE}/${prefix}`;
}

/** How often lines were counted as this metric. */
export function logMetric(settings: Settings, metricName: string, period = FIVE_MINUTES): Metric {
  const namespace = logMetricsNamespace(settings);
  return new Metric({ namespace, metricName, statistic: "Sum", period });
}

/** A metric that the functions publish, of one workflow's state machine. */
export function workflowMetric(
  metricName: string,
  workflow: string,
  props: Omit<MetricProps, "namespace" | "metricName" | "dimensionsMap"> = {},
): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { Workflow: workflow },
    statistic: "Sum",
    period: FIVE_MINUTES,
    ...props,
  });
}

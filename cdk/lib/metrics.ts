import { Duration } from "aws-cdk-lib";
import { Metric, type MetricProps } from "aws-cdk-lib/aws-cloudwatch";
import type { Settings } from "./settings.js";

/** The metrics that functions publish themselves, each with the dimension `Workflow`. */
export const METRICS_NAMESPACE = "APGL/Notifications";

/** The number of calls that Slack rate-limited. */
export const SLACK_REFUSALS = "SlackRefusals";
/** The number of failures because Slack did not accept the token or a scope was missing. */
export const TOKEN_REJECTIONS = "TokenRejections";

/** The age of a workflow's oldest running execution, in seconds. */
export const OLDEST_RUNNING_EXECUTION = "OldestRunningExecution";

/** The number of executions that failed, and neither for their request nor for what people did in Slack. */
export const SYSTEM_FAILURES = "SystemFailures";

/** The message that a function logs when Slack rate-limits a call. */
export const SLACK_REFUSED = "Slack refused a call by a limit";

/** The numbers of items that wait for somebody, and of those that are overdue, which the sweep logs every hour. */
export const ITEMS_WAITING = "ItemsWaiting";
export const ITEMS_OVERDUE = "ItemsOverdue";

export const FIVE_MINUTES = Duration.minutes(5);
export const HOUR = Duration.hours(1);

/**
 * The namespace of the metrics that are counted from log lines. They have no dimension for the deployment,
 * so the namespace contains the prefix.
 */
export function logMetricsNamespace({ prefix }: Settings): string {
  return `${METRICS_NAMESPACE}/${prefix}`;
}

/** The number of log lines that were counted for this metric. */
export function logMetric(settings: Settings, metricName: string, period = FIVE_MINUTES): Metric {
  const namespace = logMetricsNamespace(settings);
  return new Metric({ namespace, metricName, statistic: "Sum", period });
}

/** A metric that the functions publish for one workflow. */
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

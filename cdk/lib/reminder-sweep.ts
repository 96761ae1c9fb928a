import type { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { FilterPattern } from "aws-cdk-lib/aws-logs";
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler";
import type { Construct } from "constructs";
import { HOUR, ITEMS_OVERDUE, ITEMS_WAITING, logMetric } from "./metrics.js";
import { RustFunction, type RustFunctionProps } from "./rust-function.js";

/** The index of the rows that are to be looked at in an hour. */
export const BY_HOUR = "byHour";

/** It reads what is due and starts an execution for each person. */
const TIMEOUT_SECONDS = 300;
/** Its log line for each sweep. */
const SWEPT = "swept the hours";
const HOURS_SWEPT = "HoursSwept";

/** Every hour, ten minutes before it begins, starts the reminders that are due in it. */
export class ReminderSweep extends RustFunction {
  readonly whenItFails =
    "Look at its log for the error and fix the cause. Until then nobody is reminded, and nothing is escalated. The next sweep makes up for what was missed.";
  /** How often hours were swept. */
  readonly sweeps: Metric;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id, { timeoutSeconds: TIMEOUT_SECONDS, ...props });
    this.countLines(HOURS_SWEPT, FilterPattern.literal(`"${SWEPT}"`));
    for (const [metricName, field] of [
      [ITEMS_WAITING, "$.itemsWaiting"],
      [ITEMS_OVERDUE, "$.itemsOverdue"],
    ] as const) {
      this.measureLines(metricName, FilterPattern.exists(field), field);
    }
    this.sweeps = logMetric(props.settings, HOURS_SWEPT, HOUR);
    const role = new Role(this, "ScheduleRole", {
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com"),
      description: `${props.settings.prefix}-sweep-reminders: called by its schedule`,
    });
    const { functionArn } = this.alias;
    role.addToPolicy(
      new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [functionArn] }),
    );
    const schedule = new CfnSchedule(this, "Schedule", {
      name: `${props.settings.prefix}-sweep-reminders`,
      description: "Starts the reminders that are due in the coming hour",
      scheduleExpression: "cron(50 * * * ? *)",
      flexibleTimeWindow: { mode: "OFF" },
      // Without a dead-letter queue: the next sweep makes up for one that is missed, and an alarm rings after three.
      target: { arn: functionArn, roleArn: role.roleArn },
    });
    schedule.node.addDependency(role);
  }
}

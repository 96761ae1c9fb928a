import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  MathExpression,
  TextWidget,
  type IMetric,
  type MetricOptions,
} from "aws-cdk-lib/aws-cloudwatch";
import type { Construct } from "constructs";
import {
  FIVE_MINUTES,
  HOUR,
  ITEMS_OVERDUE,
  ITEMS_WAITING,
  logMetric,
  METRICS_NAMESPACE,
  OLDEST_RUNNING_EXECUTION,
  SLACK_REFUSALS,
  TOKEN_REJECTIONS,
  workflowMetric,
} from "./metrics.js";
import type { RustFunction } from "./rust-function.js";
import type { Settings } from "./settings.js";
import { stateMachineNameOf } from "./states-arn.js";
import type { Workflow } from "./workflow.js";

const HALF = 12;
const HEIGHT = 6;

export interface NotificationsDashboardProps {
  readonly settings: Settings;
  readonly workflows: Workflow[];
  readonly functions: RustFunction[];
  readonly alarms: Alarm[];
}

/** The first page for an operator: what the workflows did, how long it took, and what went wrong. */
export class NotificationsDashboard extends Dashboard {
  constructor(scope: Construct, id: string, props: NotificationsDashboardProps) {
    const { settings, workflows, functions, alarms } = props;
    super(scope, id, {
      dashboardName: `${settings.prefix}-notifications`,
      defaultInterval: Duration.hours(12),
    });
    const names = workflows.map(({ stateMachineName }) => stateMachineName);
    const byWorkflow = (metricName: string) =>
      names.map((name) => workflowMetric(metricName, name, { label: name }));
    const ofWorkflow = (metricName: string, workflow: string, props: MetricOptions) =>
      workflowMetric(metricName, stateMachineNameOf(settings, workflow), props);
    const ofExecutions = (workflow: Workflow, statistic: string) =>
      workflow.stateMachine.metricTime({
        statistic,
        period: FIVE_MINUTES,
        label: `${workflow.stateMachineName} ${statistic}`,
      });

    if (alarms.length > 0) {
      this.addWidgets(
        new AlarmStatusWidget({ title: "Alarms: see docs/alarms.md", width: 24, alarms }),
      );
    }
    this.addWidgets(
      graph("Notifications sent", byWorkflow("NotificationsSent")),
      graph("Notifications not sent, by reason", [
        searched("NotificationsNotSent", "Reason", names),
      ]),
    );
    this.addWidgets(
      graph("Members skipped, by reason", [searched("MembersSkipped", "Reason", names)]),
      graph("Failures, by error", [searched("WorkflowsFailed", "Error", names)]),
    );
    this.addWidgets(
      graph("Channels created", byWorkflow("ChannelsCreated")),
      graph("Channels deleted", byWorkflow("ChannelsDeleted")),
    );
    this.addWidgets(
      graph(
        "Drain time: how long executions take, in milliseconds",
        workflows.flatMap((workflow) => ["p50", "p99"].map((p) => ofExecutions(workflow, p))),
      ),
      graph(
        "Age of the oldest running execution, in seconds",
        byWorkflow(OLDEST_RUNNING_EXECUTION).map((metric) => metric.with({ statistic: "Maximum" })),
      ),
    );
    this.addWidgets(
      graph("Items: reminded, and escalated", [
        ofWorkflow("ItemsReminded", "remind", { label: "reminded" }),
        ofWorkflow("ItemsEscalated", "escalate", { label: "escalated" }),
      ]),
      graph("Items: waiting, and overdue", [
        logMetric(settings, ITEMS_WAITING, HOUR).with({ statistic: "Maximum", label: "waiting" }),
        logMetric(settings, ITEMS_OVERDUE, HOUR).with({ statistic: "Maximum", label: "overdue" }),
      ]),
    );
    this.addWidgets(
      graph(
        "From a person's first reminder to the item's move, in seconds",
        ["p50", "p90"].map((p) =>
          ofWorkflow("ToldToMoved", "update-item", { statistic: p, period: HOUR, label: p }),
        ),
      ),
    );
    this.addWidgets(
      graph("What Slack refuses", [
        logMetric(settings, SLACK_REFUSALS).with({ label: "rate-limited calls" }),
        logMetric(settings, TOKEN_REJECTIONS).with({ label: "rejected token" }),
      ]),
      graph(
        "Functions: errors that need an operator",
        functions.map(({ node, errors }) => errors.with({ label: node.id })),
      ),
    );
    this.addWidgets(
      graph(
        "Functions: the longest invocation, in milliseconds",
        functions.map(({ node, longest }) => longest.with({ label: node.id })),
      ),
    );
    this.addWidgets(
      new TextWidget({
        width: 24,
        height: 2,
        markdown:
          "Follow one run: CloudWatch Logs Insights, saved query " +
          `**${settings.prefix}/one run**; or \`apgl inspect <execution>\`.`,
      }),
    );
  }
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, width: HALF, height: HEIGHT });
}

/** One line for each value of the dimension that these workflows have published. */
function searched(metricName: string, dimension: string, workflows: string[]): MathExpression {
  const ours = workflows.map((name) => `"${name}"`).join(" OR ");
  const schema = `${METRICS_NAMESPACE},Workflow,${dimension}`;
  return new MathExpression({
    expression: `SEARCH('{${schema}} MetricName="${metricName}" Workflow=(${ours})', 'Sum', 300)`,
    label: "",
    period: FIVE_MINUTES,
    usingMetrics: {},
  });
}

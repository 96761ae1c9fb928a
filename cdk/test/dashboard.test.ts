import { describe, expect, it } from "vitest";
import { kebabCase } from "../lib/rust-function.js";
import { workflowFiles } from "../lib/workflow.js";
import { templatesOf, type Context } from "./deployment.js";
import { STEPS, BACKGROUND } from "./fake-functions.js";
import { resourcesOf, written } from "./template.js";

interface Widget {
  type: string;
  x: number;
  y: number;
  width: number;
  height: number;
  properties: { title?: string; markdown?: string; alarms?: string[]; metrics?: unknown[][] };
}

const WORKFLOWS = [...workflowFiles().keys()].map(kebabCase);

function dashboardOf(context: Context = {}) {
  const [[, dashboard] = [], ...more] = resourcesOf(
    templatesOf(context).notifications,
    "AWS::CloudWatch::Dashboard",
  );
  if (dashboard === undefined || more.length > 0) throw new Error("there must be one dashboard");
  const { DashboardName, DashboardBody } = dashboard.Properties;
  const { widgets } = JSON.parse(written(DashboardBody)) as { widgets: Widget[] };
  return { name: DashboardName, widgets };
}

const { name, widgets } = dashboardOf();

const graph = (title: string): string => {
  const widget = widgets.find(({ properties }) => properties.title === title);
  if (widget === undefined) throw new Error(`there is no graph with the title ${title}`);
  return JSON.stringify(widget.properties.metrics);
};

describe("the dashboard", () => {
  it("shows what was done, how long it took, and what went wrong", () => {
    expect(name).toBe("apgl-notifications");
    expect(widgets.map(({ properties }) => properties.title)).toEqual([
      "Alarms: see docs/alarms.md",
      "Notifications sent",
      "Notifications not sent, by reason",
      "Members skipped, by reason",
      "Failures, by error",
      "Channels created",
      "Channels deleted",
      "Drain time: how long executions take, in milliseconds",
      "Age of the oldest running execution, in seconds",
      "Items: reminded, and escalated",
      "Items: waiting, and overdue",
      "From a person's first reminder to the item's move, in seconds",
      "What Slack refuses",
      "Functions: errors that need an operator",
      "Functions: the longest invocation, in milliseconds",
      undefined,
    ]);
  });

  it.each([
    [
      "Items: reminded, and escalated",
      ["ItemsReminded", "apgl-remind", "ItemsEscalated", "apgl-escalate"],
    ],
    ["Items: waiting, and overdue", ["ItemsWaiting", "ItemsOverdue"]],
    [
      "From a person's first reminder to the item's move, in seconds",
      ["ToldToMoved", "apgl-update-item", "p50", "p90"],
    ],
  ])("shows in %s %j", (title, parts) => {
    for (const part of parts) expect(graph(title)).toContain(`"${part}"`);
  });

  it.each([
    ["Notifications sent", "NotificationsSent"],
    ["Notifications not sent, by reason", "NotificationsNotSent"],
    ["Members skipped, by reason", "MembersSkipped"],
    ["Channels created", "ChannelsCreated"],
    ["Channels deleted", "ChannelsDeleted"],
    ["Drain time: how long executions take, in milliseconds", "ExecutionTime"],
    ["Age of the oldest running execution, in seconds", "OldestRunningExecution"],
    ["Failures, by error", "WorkflowsFailed"],
  ])("shows %s of every workflow", (title, metric) => {
    expect(graph(title)).toContain(metric);
    for (const workflow of WORKFLOWS) expect(graph(title)).toContain(`apgl-${workflow}`);
  });

  it("shows all reasons and errors of this deployment's workflows", () => {
    for (const title of ["Notifications not sent, by reason", "Members skipped, by reason"]) {
      expect(graph(title)).toContain("{APGL/Notifications,Workflow,Reason}");
    }
    expect(graph("Failures, by error")).toContain("{APGL/Notifications,Workflow,Error}");
  });

  it("shows the calls and the tokens that Slack refuses", () => {
    for (const metric of ["SlackRefusals", "TokenRejections"]) {
      expect(graph("What Slack refuses")).toContain(`"APGL/Notifications/apgl","${metric}"`);
    }
  });

  it.each(["errors that need an operator", "the longest invocation, in milliseconds"])(
    "shows %s of every function",
    (what) => {
      const labels = [...graph(`Functions: ${what}`).matchAll(/"label":"(\w+)"/g)];
      expect(labels.map(([, label]) => kebabCase(label ?? "")).sort()).toEqual(
        [...STEPS, ...BACKGROUND].sort(),
      );
    },
  );

  it("shows every alarm, up to AWS's limit, and has no such widget without alarms", () => {
    const [first] = widgets;
    const alarms = resourcesOf(templatesOf().notifications, "AWS::CloudWatch::Alarm");
    expect(first?.properties.alarms).toHaveLength(alarms.length);
    expect(alarms.length).toBeLessThanOrEqual(100);
    const types = dashboardOf({ environment: "dev" }).widgets.map(({ type }) => type);
    expect(types).not.toContain("alarm");
    expect(types).toHaveLength(widgets.length - 1);
  });

  it("says how to follow one run", () => {
    const last = widgets.at(-1)?.properties.markdown ?? "";
    expect(last).toContain("**apgl/one run**");
    expect(last).toContain("`apgl inspect <execution>`");
  });

  it("has no overlapping widgets, and none beyond the edge", () => {
    for (const one of widgets) {
      expect(one.x + one.width).toBeLessThanOrEqual(24);
      const under = widgets.filter(
        (other) =>
          other !== one &&
          other.x < one.x + one.width &&
          one.x < other.x + other.width &&
          other.y < one.y + one.height &&
          one.y < other.y + other.height,
      );
      expect(under).toEqual([]);
    }
  });

  it("exists once per deployment, with only that deployment's metrics", () => {
    const other = dashboardOf({ prefix: "other" });
    expect(other.name).toBe("other-notifications");
    expect(JSON.stringify(other.widgets)).not.toMatch(/apgl-[a-z]+-channel/);
  });
});

import type { Template } from "aws-cdk-lib/assertions";
import { kebabCase } from "../lib/rust-function.js";
import { pascalCase, workflowFiles } from "../lib/workflow.js";
import { FUNCTIONS, HANDLERS, STEPS } from "./fake-functions.js";
import { resourcesOf } from "./template.js";

export interface AlarmProperties {
  AlarmName: string;
  AlarmDescription: string;
  MetricName: string;
  Statistic: string;
  Threshold: number;
  Period: number;
  EvaluationPeriods: number;
  TreatMissingData: string;
}

const PREFIX = "apgl-";
const WORKFLOWS = [...workflowFiles().keys()].map(kebabCase);

/** The kinds of alarms, in the order in which an operator should look at alarms that ring together. */
const KINDS = [
  "token-rejected",
  "slack-refusals",
  "<function>-errors",
  "<function>-slow",
  "<workflow>-failed",
  "<workflow>-system-failed",
  "<workflow>-timed-out",
  "<workflow>-old",
  "watch-executions-silent",
  "sweep-reminders-silent",
  "outcomes-wait",
  "outcome-dead-letters",
  "mpc-requests-fail",
  "bounties-wait",
  "event-dead-letters",
  "bounty-dead-letters",
];

/** Placeholders for what an alarm is about: the name of its crate or file, and the id of its construct. */
const ABOUT = "<about>";
const ABOUT_ID = "<about-id>";

const INTRODUCTION = `# Alarms

This page lists every alarm, when it rings, what it means and what to do.

All alarms go to the SNS topic \`apgl-alarms\`, or to the topic that [\`alarmTopicArn\`](settings.md) names. \`alarmEmail\` subscribes
an address to the topic. One cause can ring several alarms: look at the token first, then at the functions, then at the workflows.

The names below have the prefix \`apgl\`. All alarms but two, whose names end in \`-silent\`, stay silent when there is no data.
An alarm stops when its cause is gone, but executions that failed until then must be redriven by hand.

\`apgl-escalate-old\` and \`apgl-remind-old\` ring 75 minutes later than the same alarm of the other workflows: an execution of
\`escalate\` or \`remind\` starts ahead of the hour in which something is due, and sleeps until then. \`apgl-sweep-reminders-silent\` takes
three hours to ring, because the sweep runs once an hour. The next sweep makes up for the missed hours.

The metrics of the workflows (\`NotificationsSent\`, \`WorkflowsFailed\` and so on) are published with [the receipts](receipts.md). If
\`record-outcome\` crashes after publishing them but before noting that, an execution is counted twice. Only
\`apgl-<workflow>-system-failed\` relies on them, and a second count does not change it. It leaves out an execution that ended more than
15 minutes ago: somebody has moved its dead letter back to the queue.
`;

/** The text of docs/alarms.md, generated from the stacks' templates. */
export function alarmsPage(templates: Template[]): string {
  const rows = KINDS.flatMap((kind) => rowsOf(kind, templates));
  return [
    INTRODUCTION,
    "| alarm | rings when | meaning and what to do |",
    "|---|---|---|",
    ...rows.map((cells) => `| ${cells.join(" | ")} |`),
    "",
  ].join("\n");
}

export function alarmsOf(template: Template): AlarmProperties[] {
  return resourcesOf(template, "AWS::CloudWatch::Alarm").map(
    ([, { Properties }]) => Properties as unknown as AlarmProperties,
  );
}

/** What an alarm is about: its kind, and the workflow or function that it watches. */
export function kindOf({ AlarmName }: AlarmProperties): { kind: string; about?: string } {
  const name = AlarmName.slice(PREFIX.length);
  const [, about = "", rest = ""] =
    /^(.*?)-(errors|slow|system-failed|failed|timed-out|old)$/.exec(name) ?? [];
  if (FUNCTIONS.includes(about)) return { kind: `<function>-${rest}`, about };
  if (WORKFLOWS.includes(about)) return { kind: `<workflow>-${rest}`, about };
  return { kind: name };
}

/** One row for each distinct text, with a placeholder if several alarms share it. Exceptions are listed by name. */
function rowsOf(kind: string, templates: Template[]): string[][] {
  const texts = new Map<string, { about: (string | undefined)[]; when: Set<string> }>();
  for (const template of templates) {
    const timeouts = timeoutsOf(template);
    for (const alarm of alarmsOf(template)) {
      const { kind: itsKind, about } = kindOf(alarm);
      if (itsKind !== kind) continue;
      const text = withPlaceholder(alarm.AlarmDescription, about);
      const row = texts.get(text) ?? { about: [], when: new Set() };
      row.about.push(about);
      row.when.add(withPlaceholder(whenItRings(alarm, timeouts.get(about)), about));
      texts.set(text, row);
    }
  }
  return [...texts].map(([text, { about, when }]) => {
    const placeholder = placeholderFor(about);
    const put = (cell: string) =>
      cell.replaceAll(ABOUT, placeholder).replaceAll(ABOUT_ID, pascalCase(placeholder));
    const names = namesFor(about, placeholder).map(
      (name) => `\`${PREFIX}${kind.replace(/<\w+>/, name)}\``,
    );
    const what = text.replace(/ See docs\/alarms\.md\.$/, "");
    return [names.join(", "), put([...when].join("; ")), put(escaped(what))];
  });
}

function placeholderFor(about: (string | undefined)[]): string {
  const [first = "", ...more] = about.filter((one) => one !== undefined);
  if (more.length === 0) return first;
  if (WORKFLOWS.includes(first)) return "<workflow>";
  if ([first, ...more].every((one) => STEPS.includes(one))) return "<step>";
  if ([first, ...more].every((one) => HANDLERS.includes(one))) return "<handler>";
  return "<function>";
}

/** The placeholder, or the workflows themselves if most others have another text. */
function namesFor(about: (string | undefined)[], placeholder: string): string[] {
  if (placeholder !== "<workflow>" || 2 * about.length > WORKFLOWS.length) return [placeholder];
  return about.filter((one) => one !== undefined).sort();
}

/** Replaces names in either spelling and removes time-outs, so that alarms with the same text get the same row. */
function withPlaceholder(text: string, about: string | undefined): string {
  if (about === undefined) return text;
  return text
    .replaceAll(about, ABOUT)
    .replaceAll(pascalCase(about), ABOUT_ID)
    .replace(/ of \d+ s\b/, "");
}

function timeoutsOf(template: Template): Map<string | undefined, number> {
  const functions = resourcesOf(template, "AWS::Lambda::Function");
  return new Map(
    functions.map(([, { Properties }]) => [
      (Properties["FunctionName"] as string).slice(PREFIX.length),
      Properties["Timeout"] as number,
    ]),
  );
}

const UNITS: Record<string, string> = {
  ApproximateAgeOfOldestMessage: " s",
  OldestRunningExecution: " s",
};

function whenItRings(alarm: AlarmProperties, timeout: number | undefined): string {
  const { MetricName, Statistic, Threshold, Period, EvaluationPeriods, TreatMissingData } = alarm;
  const unit = UNITS[MetricName] ?? "";
  const ofTimeout = (100 * Threshold) / (1000 * (timeout ?? NaN));
  const amount =
    MetricName === "Duration"
      ? `${String(Math.round(ofTimeout))} % of its time-out`
      : `${Threshold.toLocaleString("en")}${unit}`;
  const period = inWords(Period);
  const span =
    EvaluationPeriods === 1
      ? `within ${period}`
      : `in ${String(EvaluationPeriods)} periods of ${period} in a row`;
  if (TreatMissingData === "breaching") {
    return `\`${MetricName}\` has no data for ${inWords(EvaluationPeriods * Period)}`;
  }
  return `\`${MetricName}\` (${Statistic.toLowerCase()}) is ${amount} or more ${span}`;
}

function inWords(seconds: number): string {
  const [count, unit] = seconds % 3600 === 0 ? [seconds / 3600, "hour"] : [seconds / 60, "minute"];
  return `${String(count)} ${unit}${count === 1 ? "" : "s"}`;
}

/** Puts placeholders into code, because GitHub treats text in angle brackets as HTML. */
function escaped(text: string): string {
  return text
    .split("`")
    .map((part, index) => (index % 2 === 0 ? part.replace(/[\w-]*<about(?:-id)?>/g, "`$&`") : part))
    .join("`")
    .replaceAll("|", "\\|");
}

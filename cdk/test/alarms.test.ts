import * as fs from "node:fs";
import * as path from "node:path";
import { Match, type Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { OLDEST_RUNNING_EXECUTION, SYSTEM_FAILURES } from "../lib/metrics.js";
import { kebabCase } from "../lib/rust-function.js";
import { pascalCase, workflowFiles } from "../lib/workflow.js";
import { alarmsOf, alarmsPage, kindOf } from "./alarms-page.js";
import { allOf, KEY, templatesOf } from "./deployment.js";
import { FUNCTIONS, HANDLERS, STEPS, BACKGROUND } from "./fake-functions.js";
import { resourcesOf, statementsIn, written } from "./template.js";

const ALARM = "AWS::CloudWatch::Alarm";
const TOPIC = "arn:aws:sns:eu-central-1:123456789012:operators";
const ROOT = path.join(import.meta.dirname, "../..");
const FIVE_MINUTES = 300;
/** The alarms that ring when there is no data. */
const RING_FOR_SILENCE = ["apgl-sweep-reminders-silent", "apgl-watch-executions-silent"];

const { notifications, handlers } = templatesOf();
const WORKFLOWS = [...workflowFiles().keys()];
/** The workflows whose executions start up to 75 minutes before something is due, and sleep until then. */
const SLEEP = ["Escalate", "Remind"];

const namesIn = (template: Template) =>
  alarmsOf(template)
    .map(({ AlarmName }) => AlarmName)
    .sort();

describe("alarms", () => {
  it("are these, and no others", () => {
    const ofFunctions = (crates: string[]) =>
      crates.flatMap((crate) => [`apgl-${crate}-errors`, `apgl-${crate}-slow`]);
    const ofWorkflows = WORKFLOWS.map(kebabCase).flatMap((workflow) =>
      ["failed", "system-failed", "timed-out", "old"].map((what) => `apgl-${workflow}-${what}`),
    );
    expect(namesIn(notifications)).toEqual(
      [
        "apgl-token-rejected",
        "apgl-slack-refusals",
        ...RING_FOR_SILENCE,
        "apgl-outcome-dead-letters",
        "apgl-outcomes-wait",
        ...ofFunctions([...STEPS, ...BACKGROUND]),
        ...ofWorkflows,
      ].sort(),
    );
    expect(namesIn(handlers)).toEqual(
      [
        "apgl-mpc-requests-fail",
        "apgl-bounties-wait",
        "apgl-event-dead-letters",
        "apgl-bounty-dead-letters",
        ...ofFunctions(HANDLERS),
      ].sort(),
    );
  });

  it.each(WORKFLOWS)("ring when %s fails, times out or runs for too long", (id) => {
    const machine = [
      { Name: "StateMachineArn", Value: { Ref: Match.stringLikeRegexp(`^${id}StateMachine`) } },
    ];
    const name = `apgl-${kebabCase(id)}`;
    notifications.hasResourceProperties(ALARM, {
      AlarmName: `${name}-failed`,
      ...atLeast(1, "AWS/States", "ExecutionsFailed", "Sum", machine),
    });
    notifications.hasResourceProperties(ALARM, {
      AlarmName: `${name}-system-failed`,
      ...atLeast(1, "APGL/Notifications", "SystemFailures", "Sum", [
        { Name: "Workflow", Value: name },
      ]),
    });
    notifications.hasResourceProperties(ALARM, {
      AlarmName: `${name}-timed-out`,
      ...atLeast(1, "AWS/States", "ExecutionsTimedOut", "Sum", machine),
    });
    notifications.hasResourceProperties(ALARM, {
      AlarmName: `${name}-old`,
      ...atLeast(SLEEP.includes(id) ? 18_900 : 14_400, ...AGE, [{ Name: "Workflow", Value: name }]),
    });
  });

  it("ring when the age of executions is no longer measured", () => {
    notifications.hasResourceProperties(ALARM, {
      AlarmName: "apgl-watch-executions-silent",
      MetricName: "OldestRunningExecution",
      Statistic: "SampleCount",
      Period: 300,
      EvaluationPeriods: 3,
      Threshold: 1,
      ComparisonOperator: "LessThanThreshold",
      TreatMissingData: "breaching",
    });
  });

  it("ring when no hour has been swept for three hours", () => {
    notifications.hasResourceProperties(ALARM, {
      AlarmName: "apgl-sweep-reminders-silent",
      Namespace: "APGL/Notifications/apgl",
      MetricName: "HoursSwept",
      Statistic: "Sum",
      Dimensions: Match.absent(),
      Period: 3600,
      EvaluationPeriods: 3,
      Threshold: 1,
      ComparisonOperator: "LessThanThreshold",
      TreatMissingData: "breaching",
    });
  });

  it("ring within a minute when Slack rejects the token", () => {
    notifications.hasResourceProperties(ALARM, {
      AlarmName: "apgl-token-rejected",
      ...atLeast(1, "APGL/Notifications/apgl", "TokenRejections", "Sum"),
      Period: 60,
    });
  });

  it("ring only when Slack refuses more calls than the settings allow", () => {
    const rings = (threshold: number) => ({
      AlarmName: "apgl-slack-refusals",
      ...atLeast(threshold, "APGL/Notifications/apgl", "SlackRefusals", "Sum"),
    });
    notifications.hasResourceProperties(ALARM, rings(20));
    const told = templatesOf({ slackRefusalsThreshold: "5", oldestExecutionMinutes: "120" });
    told.notifications.hasResourceProperties(ALARM, rings(5));
    told.notifications.hasResourceProperties(ALARM, {
      AlarmName: "apgl-create-channel-old",
      Threshold: 7200,
    });
    for (const id of SLEEP) {
      told.notifications.hasResourceProperties(ALARM, {
        AlarmName: `apgl-${kebabCase(id)}-old`,
        Threshold: 7200 + 75 * 60,
      });
    }
  });

  it.each(FUNCTIONS)(
    "ring when %s fails permanently, and when it comes close to its time-out",
    (crate) => {
      const template = crate.startsWith("mpc-") ? handlers : notifications;
      const deployed = resourcesOf(template, "AWS::Lambda::Function").find(
        ([, { Properties }]) => Properties["FunctionName"] === `apgl-${crate}`,
      );
      const seconds = deployed?.[1].Properties["Timeout"] as number;
      template.hasResourceProperties(ALARM, {
        AlarmName: `apgl-${crate}-errors`,
        ...atLeast(1, "APGL/Notifications/apgl", `${pascalCase(crate)}Errors`, "Sum"),
      });
      template.hasResourceProperties(ALARM, {
        AlarmName: `apgl-${crate}-slow`,
        ...atLeast(900 * seconds, "AWS/Lambda", "Duration", "Maximum", [
          { Name: "FunctionName", Value: { Ref: deployed?.[0] } },
        ]),
        EvaluationPeriods: 3,
      });
    },
  );

  it("ring when events become dead letters, bounties wait, or requests fail on our side", () => {
    const queue = (id: string) => [
      {
        Name: "QueueName",
        Value: { "Fn::GetAtt": [Match.stringLikeRegexp(`^${id}`), "QueueName"] },
      },
    ];
    for (const id of ["EventDeadLetters", "BountyDeadLetters"]) {
      handlers.hasResourceProperties(ALARM, {
        AlarmName: `apgl-${kebabCase(id)}`,
        ...atLeast(1, "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue(id)),
      });
    }
    handlers.hasResourceProperties(ALARM, {
      AlarmName: "apgl-bounties-wait",
      ...atLeast(900, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", queue("Bounties")),
    });
    handlers.hasResourceProperties(ALARM, {
      AlarmName: "apgl-mpc-requests-fail",
      ...atLeast(1, "AWS/ApiGateway", "5xx", "Sum", [
        { Name: "ApiId", Value: { Ref: Match.stringLikeRegexp("^Requests") } },
      ]),
    });
  });

  it("say what they mean and what to do, within AWS's length limit", () => {
    for (const { AlarmName, AlarmDescription } of allOf().flatMap(alarmsOf)) {
      const sentences = AlarmDescription.split(/(?<=[.:]) /);
      expect(sentences.length, AlarmName).toBeGreaterThanOrEqual(3);
      expect(AlarmDescription).toMatch(/ (Look|Run|See|Store|Find) .*See docs\/alarms\.md\.$/);
      expect(AlarmDescription.length).toBeLessThanOrEqual(1024);
    }
  });

  it.each(["prod", "local"])(
    "in %s notify the topic, and all but two stay silent without data",
    (environment) => {
      const templates = templatesOf({ environment });
      templates.notifications.allResourcesProperties(ALARM, {
        AlarmActions: [{ Ref: Match.stringLikeRegexp("^AlarmTopic") }],
      });
      const breaching = alarmsOf(templates.notifications).filter(
        ({ TreatMissingData }) => TreatMissingData !== "notBreaching",
      );
      expect(breaching.map(({ AlarmName }) => AlarmName).sort()).toEqual(RING_FOR_SILENCE);
      for (const { TreatMissingData } of breaching) expect(TreatMissingData).toBe("breaching");
      templates.handlers.allResourcesProperties(ALARM, { TreatMissingData: "notBreaching" });
      for (const [, { Properties }] of resourcesOf(templates.handlers, ALARM)) {
        expect((Properties["AlarmActions"] as unknown[]).map(written)).toEqual([
          "arn:<Partition>:sns:<Region>:<AccountId>:apgl-alarms",
        ]);
      }
    },
  );

  it("have the deployment's prefix", () => {
    for (const template of allOf({ prefix: "other" })) {
      for (const name of namesIn(template)) expect(name).toMatch(/^other-/);
      for (const [, { Properties }] of resourcesOf(template, "AWS::SNS::Topic")) {
        expect(Properties["TopicName"]).toBe("other-alarms");
      }
    }
  });

  it.each(["prod", "dev", "local"])(
    "in %s use one metric each, since the local stack supports no others",
    (environment) => {
      for (const template of allOf({ environment, alarms: true, gradualShift: false })) {
        template.allResourcesProperties(ALARM, {
          Metrics: Match.absent(),
          MetricName: Match.anyValue(),
        });
        template.resourceCountIs("AWS::CloudWatch::CompositeAlarm", 0);
      }
    },
  );

  it("are left out, with their topic, if the settings say so", () => {
    for (const template of allOf({ environment: "dev" })) {
      template.resourceCountIs(ALARM, 0);
      template.resourceCountIs("AWS::SNS::Topic", 0);
    }
  });

  it("go to an existing topic if the settings name one", () => {
    for (const template of allOf({ alarmTopicArn: TOPIC })) {
      template.resourceCountIs("AWS::SNS::Topic", 0);
      template.resourceCountIs("AWS::SNS::TopicPolicy", 0);
      template.allResourcesProperties(ALARM, { AlarmActions: [TOPIC] });
    }
  });
});

describe("the topic", () => {
  it("notifies the address that the settings name", () => {
    const subscriptions = "AWS::SNS::Subscription";
    notifications.resourceCountIs(subscriptions, 0);
    templatesOf({ alarmEmail: "operators@library.example" }).notifications.hasResourceProperties(
      subscriptions,
      {
        Protocol: "email",
        Endpoint: "operators@library.example",
        TopicArn: { Ref: Match.stringLikeRegexp("^AlarmTopic") },
      },
    );
  });

  it.each(["prod", "local"])(
    "in %s lets CloudWatch publish alarms of this account",
    (environment) => {
      const [[, policy] = []] = resourcesOf(
        templatesOf({ environment }).notifications,
        "AWS::SNS::TopicPolicy",
      );
      const allowed = (policy === undefined ? [] : statementsIn(policy)).filter(
        ({ Effect }) => Effect === "Allow",
      );
      expect(allowed).toEqual([
        expect.objectContaining({
          Principal: { Service: "cloudwatch.amazonaws.com" },
          Action: "sns:Publish",
          Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
        }),
      ]);
    },
  );
});

describe("the topic's encryption", () => {
  const TOPIC_TYPE = "AWS::SNS::Topic";

  it("is with the deployment's own key", () => {
    const { notifications } = templatesOf({ kmsKeyArn: KEY });
    notifications.allResourcesProperties(TOPIC_TYPE, { KmsMasterKeyId: KEY });
  });

  it("is not with AWS's own key, through which CloudWatch can't publish", () => {
    notifications.allResourcesProperties(TOPIC_TYPE, { KmsMasterKeyId: Match.absent() });
  });
});

describe("log lines", () => {
  const filtersOf = (template: Template, metric: string) =>
    resourcesOf(template, "AWS::Logs::MetricFilter").filter(
      ([, { Properties }]) =>
        (Properties["MetricTransformations"] as [{ MetricName: string }])[0].MetricName === metric,
    );
  const source = (file: string) => fs.readFileSync(path.join(ROOT, file), "utf8");
  const CALL_SLACK = resourcesOf(notifications, "AWS::Lambda::Function").filter(
    ([, { Properties }]) => JSON.stringify(Properties).includes("SLACK_TOKEN_SECRET"),
  );

  it.each(FUNCTIONS)("of %s are counted if they require an operator", (crate) => {
    const id = pascalCase(crate);
    const template = crate.startsWith("mpc-") ? handlers : notifications;
    const [[, { Properties }] = ["", { Properties: {} }], ...more] = filtersOf(
      template,
      `${id}Errors`,
    );
    expect(more).toEqual([]);
    expect(Properties).toMatchObject({
      LogGroupName: { Ref: expect.stringMatching(`^${id}Logs`) as string },
      FilterPattern:
        '{ ($.level = "ERROR") || ($.type = "platform.report" && $.record.status = "timeout") || ' +
        '($.record.errorType = "Runtime.ExitError") || ($.record.errorType = "Runtime.InvalidEntrypoint") || ' +
        '($.record.errorType = "Runtime.OutOfMemory") }',
      MetricTransformations: [{ MetricNamespace: "APGL/Notifications/apgl", MetricValue: "1" }],
    });
  });

  it.each([
    ["SlackRefusals", "Slack refused a call by a limit", "lib/slack/src/client.rs"],
    ["TokenRejections", "Slack.Unauthorized", "lib/contract/src/error.rs"],
  ])("are counted as %s by the text %j, which %s writes", (metric, words, file) => {
    const filters = filtersOf(notifications, metric);
    expect(filters.map(([, { Properties }]) => written(Properties["LogGroupName"])).sort()).toEqual(
      CALL_SLACK.map(([id]) => id.replace(/Function[0-9A-F]{8}$/, "Logs")).sort(),
    );
    for (const [, { Properties }] of filters) {
      expect(Properties["FilterPattern"]).toBe(`"${words}"`);
    }
    expect(source(file)).toContain(`"${words}"`);
  });

  it("are counted as HoursSwept by the text that a sweep ends with", () => {
    const words = "swept the hours";
    expect(filtersOf(notifications, "HoursSwept")).toEqual([
      [
        expect.stringMatching(/^SweepReminders/),
        expect.objectContaining({
          Properties: {
            LogGroupName: { Ref: expect.stringMatching(/^SweepRemindersLogs/) as string },
            FilterPattern: `"${words}"`,
            MetricTransformations: [
              {
                MetricNamespace: "APGL/Notifications/apgl",
                MetricName: "HoursSwept",
                MetricValue: "1",
              },
            ],
          },
        }),
      ],
    ]);
    expect(source("functions/sweep-reminders/src/lib.rs")).toContain(`"${words}"`);
  });

  it("have the level ERROR and the error's name if an operator must fix a step's failure", () => {
    expect(source("lib/runtime/src/run.rs")).toMatch(
      /\(Recovery::Redrive, Origin::System\) => \{\s*tracing::error!\(error\.name = %name,/,
    );
    expect(source("lib/contract/src/error.rs")).toContain(
      'SlackUnauthorized = "Slack.Unauthorized", Redrive, System;',
    );
  });

  it("are JSON, with the fields at the top level", () => {
    expect(source("lib/runtime/src/logs.rs")).toContain(".flatten_event(true)");
    for (const template of [notifications, handlers]) {
      template.allResourcesProperties("AWS::Lambda::Function", {
        LoggingConfig: { LogFormat: "JSON" },
      });
    }
  });

  it("and the functions' metrics use the namespaces that the alarms expect", () => {
    expect(source("lib/aws/src/lib.rs")).toContain('"APGL/Notifications"');
    expect(source("functions/watch-executions/src/lib.rs")).toContain(
      `"${OLDEST_RUNNING_EXECUTION}"`,
    );
    expect(source("functions/record-outcome/src/counts.rs")).toContain(`"${SYSTEM_FAILURES}"`);
  });
});

describe("docs/alarms.md", () => {
  it("has every alarm that the stacks deploy", async () => {
    const templates = allOf();
    const page = alarmsPage(templates);
    await expect(page).toMatchFileSnapshot(path.join(ROOT, "docs/alarms.md"));
    const cells = [...page.matchAll(/^\| (`apgl-[^|]+`) \|/gm)].map(([, cell]) => cell ?? "");
    const named = cells.flatMap((cell) => cell.match(/(?<=`apgl-)[^`]+/g) ?? []);
    for (const alarm of templates.flatMap(alarmsOf)) {
      const { kind } = kindOf(alarm);
      const pattern = new RegExp(`^${kind.replace(/<\w+>/, ".+")}$`);
      expect(
        named.some((name) => pattern.test(name)),
        alarm.AlarmName,
      ).toBe(true);
    }
    // A reader has to see which workflows may sleep before they count as old.
    expect(named.filter((name) => name.endsWith("-old"))).toEqual([
      "<workflow>-old",
      ...SLEEP.map((id) => `${kebabCase(id)}-old`),
    ]);
  });
});

/** The metric of a workflow's oldest running execution. */
const AGE = ["APGL/Notifications", "OldestRunningExecution", "Maximum"] as const;

/** An alarm of one metric, by default for one period of five minutes. */
function atLeast(
  Threshold: number,
  Namespace: string,
  MetricName: string,
  Statistic: string,
  Dimensions: unknown = Match.absent(),
) {
  const EvaluationPeriods = 1;
  const Period = FIVE_MINUTES;
  const ComparisonOperator = "GreaterThanOrEqualToThreshold";
  const metric = { Namespace, MetricName, Statistic, Dimensions, Period };
  return { ...metric, Threshold, EvaluationPeriods, ComparisonOperator };
}

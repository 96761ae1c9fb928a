import * as fs from "node:fs";
import { App, Stack } from "aws-cdk-lib";
import { Match, type Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { kebabCase } from "../lib/rust-function.js";
import { readSettings } from "../lib/settings.js";
import { Workflow, workflowFiles } from "../lib/workflow.js";
import { appOf, SETTINGS_OF_FUNCTIONS, templatesOf, type Context } from "./deployment.js";
import { STEPS, BACKGROUND } from "./fake-functions.js";
import { masked, resourcesOf, typesOf, written } from "./template.js";

const templateOf = (context?: Context) => templatesOf(context).notifications;

const template = templateOf();

/** The functions that plan, send or start reminders and escalations. */
const REMIND = [
  "find-escalation",
  "find-reminder",
  "plan-reminders",
  "send-escalation",
  "send-reminder",
  "sweep-reminders",
];

/** The environment variables of each function. */
function variablesIn(deployed: Template): [name: string, variables: Record<string, unknown>][] {
  return resourcesOf(deployed, "AWS::Lambda::Function").map(([, { Properties }]) => {
    const { Variables = {} } = (Properties["Environment"] ?? {}) as {
      Variables?: Record<string, unknown>;
    };
    return [Properties["FunctionName"] as string, Variables];
  });
}

/** The functions that have this environment variable, by name, each with its value. */
function whoHas(variable: string, deployed: Template): [name: string, value: unknown][] {
  return variablesIn(deployed)
    .filter(([, variables]) => variable in variables)
    .map(([name, variables]): [string, unknown] => [name, variables[variable]])
    .sort(([one], [other]) => one.localeCompare(other));
}

describe("functions", () => {
  it("are the steps in functions/ and those in the background, each with an alias", () => {
    const names = resourcesOf(template, "AWS::Lambda::Function")
      .map(([, { Properties }]) => Properties["FunctionName"])
      .sort();
    const crates = [...STEPS, ...BACKGROUND].sort();
    expect(names).toEqual(crates.map((crate) => `apgl-${crate}`));
    template.allResourcesProperties("AWS::Lambda::Function", {
      Runtime: "provided.al2023",
      Architectures: ["arm64"],
    });
    template.resourceCountIs("AWS::Lambda::Alias", crates.length);
  });

  it.each(["prod", "dev", "local"])("in %s are traced", (environment) => {
    for (const one of Object.values(templatesOf({ environment })) as Template[]) {
      one.allResourcesProperties("AWS::Lambda::Function", { TracingConfig: { Mode: "Active" } });
    }
  });

  it("are built for the architecture in the settings", () => {
    templateOf({ architecture: "x86_64" }).allResourcesProperties("AWS::Lambda::Function", {
      Architectures: ["x86_64"],
    });
  });

  it("that are not built stop the synthesis with an instruction", () => {
    expect(() => appOf({ functionsDir: "/nonexistent" })).toThrow(/cargo lambda build/);
  });

  it("call Slack without a table of rate limits if the rate limiter is off", () => {
    const unlimited = templateOf({ rateLimiter: false });
    expect(JSON.stringify(unlimited)).not.toContain("RATE_LIMITS_TABLE");
    unlimited.resourceCountIs("AWS::DynamoDB::GlobalTable", 6);
  });

  it.each([
    ["ALLOW_EXTERNALLY_SHARED_CHANNELS", "true", ["ensure-channel"]],
    ["CHANNEL_NAME_PATTERN", "guide-[a-z0-9-]+|content-bounties", ["check-request"]],
    [
      "CHANNEL_TRUST_SECONDS",
      "60",
      [
        "archive-channel",
        "ensure-channel",
        "find-channel",
        "invite-members",
        "post-message",
        "remove-members",
        "send-escalation",
        "send-reminder",
        "update-card",
      ],
    ],
    ["DEFAULT_SLACK_PREFERENCE", "false", ["filter-by-preference"]],
    [
      "PERSON_TRUST_SECONDS",
      "3600",
      ["invite-members", "open-conversation", "remove-members", "resolve-users"],
    ],
    ["REMINDERS", '{"default":{"overdue":2},"states":{"published":{"off":true}}}', REMIND],
    ["SETTLED_EVENT_BUS", "library", ["record-outcome"]],
    ["SETTLED_EVENT_SOURCE", "apgl.notifications", ["record-outcome"]],
  ])("have %s=%s from the settings", (variable, value, functions) => {
    expect(whoHas(variable, templateOf(SETTINGS_OF_FUNCTIONS))).toEqual(
      functions.map((name) => [`apgl-${name}`, value]),
    );
  });

  it("remind by the defaults if the settings say nothing about reminders", () => {
    expect(whoHas("REMINDERS", template)).toEqual(REMIND.map((name) => [`apgl-${name}`, "{}"]));
  });

  it("remind by a calendar that a test can set, but only on the local stack", () => {
    const inEach = (environment: string) => whoHas("CALENDAR", templateOf({ environment }));
    expect(inEach("local")).toEqual(REMIND.map((name) => [`apgl-${name}`, "stored"]));
    for (const environment of ["prod", "dev"]) expect(inEach(environment)).toEqual([]);
  });

  it.each([
    ["plan-reminders", ["ITEMS_TABLE", "REMINDERS", "SLACK_USERS_TABLE"]],
    ["find-reminder", ["ITEMS_TABLE", "REMINDERS"]],
    ["find-escalation", ["ITEMS_TABLE", "REMINDERS"]],
    [
      "send-escalation",
      [
        "CHANNELS_TABLE",
        "CHANNEL_TRUST_SECONDS",
        "DELIVERIES_TABLE",
        "ITEMS_TABLE",
        "RATE_LIMITS_TABLE",
        "REMINDERS",
        "SLACK_API_URL",
        "SLACK_TOKEN_SECRET",
      ],
    ],
    [
      "send-reminder",
      [
        "CHANNELS_TABLE",
        "CHANNEL_TRUST_SECONDS",
        "DELIVERIES_TABLE",
        "ITEMS_TABLE",
        "RATE_LIMITS_TABLE",
        "REMINDERS",
        "SLACK_API_URL",
        "SLACK_TOKEN_SECRET",
        "SLACK_USERS_TABLE",
      ],
    ],
    [
      "sweep-reminders",
      [
        "APGL_STATE_MACHINES",
        "APGL_STATE_MACHINE_ALIAS",
        "ITEMS_TABLE",
        "REMINDERS",
        "SLACK_USERS_TABLE",
      ],
    ],
  ])("like %s know %j, and nothing else", (name, variables) => {
    const [, known] = variablesIn(template).find(([one]) => one === `apgl-${name}`) ?? [];
    expect(Object.keys(known ?? {}).sort()).toEqual(variables);
    const { Ref } = known?.["ITEMS_TABLE"] as { Ref: string };
    expect(Ref).toMatch(/^Items/);
  });

  it("know a time scale only on the local stack", () => {
    const scaled = JSON.stringify(templateOf({ environment: "local", timeScale: 0.05 }));
    expect(scaled).toContain('"TIME_SCALE":"0.05"');
    expect(JSON.stringify(template)).not.toContain("TIME_SCALE");
  });

  it("know a bus for settled events only if the settings name one", () => {
    expect(JSON.stringify(template)).not.toContain("SETTLED_EVENT");
  });

  it("tell the recorder of every status change of our workflows", () => {
    template.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: {
        source: ["aws.states"],
        detail: {
          stateMachineArn: [...workflowFiles().keys()].map((id) => ({
            Ref: Match.stringLikeRegexp(`^${id}StateMachine`),
          })),
        },
      },
      Targets: [{ Arn: { "Fn::GetAtt": [Match.stringLikeRegexp("^RecordOutcomeQueue"), "Arn"] } }],
    });
  });
});

describe("the sweep of reminders", () => {
  const SCHEDULE = "AWS::Scheduler::Schedule";

  it.each(["prod", "dev", "local"])(
    "in %s runs ten minutes before each hour, by the function's alias",
    (environment) => {
      const deployed = templateOf({ environment });
      const prefix = environment === "dev" ? "apgl-dev" : "apgl";
      deployed.resourceCountIs(SCHEDULE, 1);
      deployed.hasResourceProperties(SCHEDULE, {
        Name: `${prefix}-sweep-reminders`,
        ScheduleExpression: "cron(50 * * * ? *)",
        // A schedule without a time zone is in UTC. Some time zones begin their hours at another minute, but not the sweep.
        ScheduleExpressionTimezone: Match.absent(),
        FlexibleTimeWindow: { Mode: "OFF" },
        State: Match.absent(),
        Target: {
          Arn: { Ref: Match.stringLikeRegexp("^SweepRemindersLive") },
          RoleArn: { "Fn::GetAtt": [Match.stringLikeRegexp("^SweepRemindersScheduleRole"), "Arn"] },
        },
      });
    },
  );

  it("begins only when its role may call the function", () => {
    const [[, schedule] = []] = resourcesOf(template, SCHEDULE);
    expect(schedule?.DependsOn).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^SweepRemindersScheduleRoleDefaultPolicy/),
        expect.stringMatching(/^SweepRemindersScheduleRole[0-9A-F]{8}$/),
      ]),
    );
  });
});

describe("the sweep", () => {
  it.each(["Waiting", "Overdue"])(
    "logs how many items are %s, of which a metric is made",
    (what) => {
      template.hasResourceProperties("AWS::Logs::MetricFilter", {
        FilterPattern: `{ $.items${what} = "*" }`,
        MetricTransformations: [
          {
            MetricName: `Items${what}`,
            MetricNamespace: "APGL/Notifications/apgl",
            MetricValue: `$.items${what}`,
          },
        ],
      });
    },
  );
});

describe("the watcher", () => {
  it("looks every five minutes at every workflow", () => {
    template.hasResourceProperties("AWS::Events::Rule", {
      ScheduleExpression: "rate(5 minutes)",
      Targets: [{ Arn: { Ref: Match.stringLikeRegexp("^WatchExecutionsLive") } }],
    });
    const [[, watcher] = []] = resourcesOf(template, "AWS::Lambda::Function").filter(
      ([, { Properties }]) => Properties["FunctionName"] === "apgl-watch-executions",
    );
    const { Variables } = watcher?.Properties["Environment"] as {
      Variables: Record<string, unknown>;
    };
    expect(Object.keys(Variables).sort()).toEqual([
      "OUTCOMES_QUEUE_URL",
      "RECEIPTS_TABLE",
      "STATE_MACHINES",
    ]);
    expect(written(Variables["STATE_MACHINES"]).split(",")).toEqual(
      [...workflowFiles().keys()].map(
        (id) => `arn:<Partition>:states:<Region>:<AccountId>:stateMachine:apgl-${kebabCase(id)}`,
      ),
    );
  });
});

describe("workflows", () => {
  const files = [...workflowFiles()];

  it.each(files)("%s has a value for every placeholder, and no other values", (id, file) => {
    const [[, machine] = []] = resourcesOf(template, "AWS::StepFunctions::StateMachine").filter(
      ([logicalId]) => logicalId.startsWith(`${id}StateMachine`),
    );
    const substitutions = machine?.Properties["DefinitionSubstitutions"] as Record<string, unknown>;
    const placeholders = [...fs.readFileSync(file, "utf8").matchAll(/\$\{(.*?)\}/g)].map(
      ([, name]) => name,
    );
    expect(Object.keys(substitutions).sort()).toEqual([...new Set(placeholders)].sort());
  });

  it("are Standard, are traced and are named by their files", () => {
    for (const [, file] of files) {
      const name = /([a-z-]+)\.asl\.json$/.exec(file)?.[1] ?? "";
      template.hasResourceProperties("AWS::StepFunctions::StateMachine", {
        StateMachineName: `apgl-${name}`,
        StateMachineType: Match.absent(),
        TracingConfiguration: { Enabled: true },
      });
    }
  });

  it("give a step one name: for crate, state, placeholder and construct", () => {
    for (const [, file] of files) {
      const { States } = JSON.parse(fs.readFileSync(file, "utf8")) as {
        States: Record<string, { Arguments?: { FunctionName: string } }>;
      };
      for (const [state, { Arguments }] of Object.entries(States)) {
        if (Arguments === undefined) continue;
        expect(Arguments.FunctionName).toBe(`\${${state}FunctionArn}`);
        expect(STEPS).toContain(kebabCase(state));
      }
    }
  });

  it("wait for a step longer than its function runs", () => {
    const seconds = new Map(
      resourcesOf(template, "AWS::Lambda::Function").map(([, { Properties }]) => [
        Properties["FunctionName"],
        Properties["Timeout"] as number,
      ]),
    );
    for (const [, file] of files) {
      const { States } = JSON.parse(fs.readFileSync(file, "utf8")) as {
        States: Record<string, { Arguments?: { FunctionName: string }; TimeoutSeconds: number }>;
      };
      for (const { Arguments, TimeoutSeconds } of Object.values(States)) {
        const step = /^\$\{(.*)FunctionArn\}$/.exec(Arguments?.FunctionName ?? "")?.[1];
        if (step === undefined) continue;
        expect(TimeoutSeconds).toBeGreaterThan(seconds.get(`apgl-${kebabCase(step)}`) ?? Infinity);
      }
    }
  });

  it("that call a function which isn't there stop the synthesis", () => {
    const stack = new Stack();
    const settings = readSettings(new App().node);
    const [file] = workflowFiles().values();
    expect(
      () => new Workflow(stack, "Broken", { settings, file: file ?? "", steps: new Map() }),
    ).toThrow(/FunctionArn}, but there is no such function/);
  });
});

describe("the template", () => {
  it("changes only on purpose", () => {
    expect(masked(template)).toMatchSnapshot();
  });

  it.each(["dev", "local"])("has these resources in %s", (environment) => {
    expect(typesOf(templateOf({ environment }))).toMatchSnapshot();
  });
});

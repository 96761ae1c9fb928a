import type { Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { kebabCase } from "../lib/rust-function.js";
import { stepsCalledBy, workflowFiles } from "../lib/workflow.js";
import {
  ENVIRONMENT_NAMES,
  EXISTING_TABLES,
  KEY,
  templatesOf,
  type Context,
} from "./deployment.js";
import { FUNCTIONS } from "./fake-functions.js";
import {
  asList,
  grantsOf,
  resourcesOf,
  statementsIn,
  statementsOf,
  written,
  type Statement,
} from "./template.js";

const { notifications, handlers } = templatesOf();

const PLACE = "<Region>:<AccountId>";
const SECRET = `arn:<Partition>:secretsmanager:${PLACE}:secret:apgl/slack-api-token-??????`;
const stateMachine = (workflow: string) =>
  `arn:<Partition>:states:${PLACE}:stateMachine:apgl-${workflow}`;
const executions = (workflow: string) =>
  `arn:<Partition>:states:${PLACE}:execution:apgl-${workflow}:*`;

const WORKFLOWS = [...workflowFiles().keys()].map(kebabCase);

/** The permissions of every function. */
const base = (id: string) => ({
  [`${id}Logs`]: ["logs:CreateLogStream", "logs:PutLogEvents"],
  "*": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
});
const PUBLISHES_METRICS = {
  "*": ["cloudwatch:PutMetricData", "xray:PutTelemetryRecords", "xray:PutTraceSegments"],
};
const on = (table: string, ...actions: string[]) => ({
  [table]: actions.map((action) => `dynamodb:${action}`).sort(),
});
/** A function that calls Slack reads the token and reserves calls in the rate limits table. */
const CALLS_SLACK = {
  [SECRET]: ["secretsmanager:GetSecretValue"],
  ...on("RateLimits", "BatchGetItem", "DeleteItem", "PutItem", "Query", "UpdateItem"),
};
const FINDS = ["BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "UpdateItem"];
const CONFIRMS = ["GetItem", "PutItem", "UpdateItem"];
const LOOKS_UP = ["BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem"];
const starts = (...workflows: string[]) =>
  Object.fromEntries(
    workflows.flatMap((workflow) => [
      [stateMachine(workflow), ["states:StartExecution"]],
      [executions(workflow), ["states:DescribeExecution"]],
    ]),
  );

const eachExecution = (action: string) =>
  Object.fromEntries(WORKFLOWS.map((name) => [executions(name), [action]]));
/** The permissions that receiving a queue's messages needs. */
const RECEIVES = [
  "sqs:ChangeMessageVisibility",
  "sqs:DeleteMessage",
  "sqs:GetQueueAttributes",
  "sqs:GetQueueUrl",
  "sqs:ReceiveMessage",
];

/** The additional permissions of each function: resource → actions. */
const ALLOWED: Record<string, Record<string, string[]>> = {
  CheckRequest: {},
  FilterByPreference: on("UserProfiles", "BatchGetItem"),
  ResolveUsers: { ...CALLS_SLACK, ...on("SlackUsers", ...LOOKS_UP) },
  FindChannel: { ...CALLS_SLACK, ...on("Channels", ...FINDS) },
  EnsureChannel: { ...CALLS_SLACK, ...on("Channels", ...FINDS, "DeleteItem") },
  InviteMembers: {
    ...CALLS_SLACK,
    ...on("Channels", "BatchGetItem", ...CONFIRMS),
    ...on("SlackUsers", ...LOOKS_UP, "DeleteItem"),
  },
  RemoveMembers: {
    ...CALLS_SLACK,
    ...on("Channels", ...CONFIRMS),
    ...on("SlackUsers", ...LOOKS_UP, "DeleteItem"),
  },
  OpenConversation: {
    ...CALLS_SLACK,
    ...on("SlackUsers", "BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
  },
  PostMessage: {
    ...CALLS_SLACK,
    ...on("Channels", ...CONFIRMS),
    ...on("Deliveries", "PutItem", "UpdateItem"),
  },
  RecordItem: on("Items", "DeleteItem", "PutItem", "Query"),
  PlanReminders: {
    ...on("Items", "GetItem", "PutItem", "Query"),
    ...on("SlackUsers", "BatchGetItem"),
  },
  FindEscalation: on("Items", "GetItem"),
  SendEscalation: {
    ...CALLS_SLACK,
    ...on("Channels", ...CONFIRMS),
    ...on("Deliveries", "PutItem"),
    ...on("Items", "GetItem", "PutItem", "Query"),
  },
  FindReminder: { ...on("Items", "BatchGetItem"), ...on("Items/index/byPerson", "Query") },
  SendReminder: {
    ...CALLS_SLACK,
    ...on("Deliveries", "PutItem"),
    ...on("Items", "BatchGetItem", "GetItem", "PutItem"),
    ...on("Items/index/byPerson", "Query"),
    ...on("SlackUsers", "BatchGetItem"),
  },
  SweepReminders: {
    ...on("Items", "BatchGetItem", "GetItem", "PutItem", "Scan"),
    ...on("Items/index/byHour", "Query"),
    ...on("SlackUsers", "BatchGetItem"),
    ...starts("remind", "escalate"),
  },
  UpdateCard: {
    ...CALLS_SLACK,
    ...on("Channels", ...CONFIRMS),
    ...on("Deliveries", "PutItem"),
    ...on("Items", "GetItem", "PutItem"),
  },
  ArchiveChannel: {
    ...CALLS_SLACK,
    ...on("Channels", "BatchWriteItem", ...CONFIRMS, "DeleteItem"),
  },
  PublishMetrics: PUBLISHES_METRICS,
  RecordOutcome: {
    ...PUBLISHES_METRICS,
    ...on("Receipts", "BatchWriteItem", "PutItem", "UpdateItem"),
    ...on("RateLimits", "GetItem", "Query", "UpdateItem"),
    RecordOutcomeQueue: RECEIVES,
    ...eachExecution("states:GetExecutionHistory"),
  },
  WatchExecutions: {
    ...PUBLISHES_METRICS,
    ...Object.fromEntries(WORKFLOWS.map((name) => [stateMachine(name), ["states:ListExecutions"]])),
    ...eachExecution("states:DescribeExecution"),
    ...on("Receipts", "BatchGetItem"),
    ...on("Receipts/index/running", "Query"),
    RecordOutcomeQueue: ["sqs:SendMessage"],
  },
  MpcRequestHandler: starts(
    ...WORKFLOWS.filter((name) => !["check-channel-exists", "remind", "escalate"].includes(name)),
  ),
  MpcEventHandler: {
    ...starts("notify-private-channel", "notify-person", "update-item"),
    EventDeadLetters: ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"],
  },
  MpcContentBountyProcessor: {
    ...starts("notify-public-channel", "update-item"),
    Bounties: RECEIVES,
  },
};

const templateOf = (id: string, context?: Context) => {
  const { notifications, handlers } = templatesOf(context);
  return id.startsWith("Mpc") ? handlers : notifications;
};

describe("a function", () => {
  it("is listed here, with its permissions", () => {
    expect(Object.keys(ALLOWED).map(kebabCase).sort()).toEqual(FUNCTIONS);
  });

  it.each(Object.keys(ALLOWED))("like %s may do what it needs and nothing else", (id) => {
    expect(grantsOf(templateOf(id), id)).toEqual({ ...base(id), ...ALLOWED[id] });
  });

  it.each(["RecordOutcome", "WatchExecutions"])(
    "like %s publishes metrics only in our namespace",
    (id) => {
      expect(conditionsOf(notifications, id, "cloudwatch:PutMetricData")).toEqual([
        { StringEquals: { "cloudwatch:namespace": "APGL/Notifications" } },
      ]);
    },
  );

  it.each(["SweepReminders", "MpcRequestHandler", "MpcEventHandler", "MpcContentBountyProcessor"])(
    "like %s starts released workflows by their alias, except on the local stack, which has none",
    (id) => {
      // The condition key has several values, so a plain StringEquals would never match.
      const onTheAlias = { "ForAnyValue:StringEquals": { "states:StateMachineQualifier": "live" } };
      const conditionsIn = (environment: string) =>
        conditionsOf(templateOf(id, { environment }), id, "states:StartExecution");
      for (const environment of ["prod", "dev"]) {
        expect(conditionsIn(environment)).toEqual([onTheAlias]);
      }
      expect(conditionsIn("local")).toEqual([undefined]);
    },
  );

  it.each([
    "PlanReminders",
    "FindReminder",
    "SendReminder",
    "FindEscalation",
    "SendEscalation",
    "SweepReminders",
  ])("like %s may read a calendar from the items' table, but only on the local stack", (id) => {
    const itemsIn = (environment: string) =>
      grantsOf(templateOf(id, { environment }), id)["Items"] ?? [];
    // Some read other rows of the table one by one too.
    const inProduction = (ALLOWED[id] ?? {})["Items"] ?? [];
    for (const environment of ["prod", "dev"]) {
      expect(itemsIn(environment)).toEqual(inProduction);
    }
    expect(new Set(itemsIn("local"))).toEqual(new Set([...inProduction, "dynamodb:GetItem"]));
  });

  it("like RecordOutcome tells only the bus that the settings name, and only how executions ended", () => {
    const grantsIn = (context: Context) =>
      statementsOf(templatesOf(context).notifications, "RecordOutcome").filter((statement) =>
        asList(statement.Action).includes("events:PutEvents"),
      );
    expect(grantsIn({})).toEqual([]);
    const [statement, ...more] = grantsIn({ prefix: "other", settledEventBusName: "library" });
    expect(more).toEqual([]);
    expect(statement?.Action).toEqual("events:PutEvents");
    expect(written(statement?.Resource)).toBe(`arn:<Partition>:events:${PLACE}:event-bus/library`);
    expect(statement?.Condition).toEqual({
      "ForAllValues:StringEquals": { "events:source": "other.notifications" },
      StringEquals: { "events:detail-type": "Notification Settled" },
    });
    const local = grantsIn({ environment: "local", settledEventBusName: "default" });
    expect(local.map(({ Condition }) => Condition)).toEqual([undefined]);
  });

  it("is called only by its alias, and only by the source that the permission names", () => {
    for (const template of [notifications, handlers]) {
      const permissions = resourcesOf(template, "AWS::Lambda::Permission");
      expect(permissions.length).toBeGreaterThan(0);
      for (const [, { Properties }] of permissions) {
        expect(written(Properties["FunctionName"])).toMatch(/Live$/);
        expect(Properties["SourceArn"]).toBeDefined();
      }
    }
  });
});

describe("a function of a deployment with its own key", () => {
  const ofKey = templatesOf({ kmsKeyArn: KEY });
  const throughServices = (id: string) =>
    [ofKey.notifications, ofKey.handlers]
      .flatMap((template) => statementsOf(template, id))
      .filter((statement) => asList(statement.Action).some((action) => action.startsWith("kms:")));

  /** The services through which a function may use the key. */
  const services = (id: string): string[] => {
    const resources = Object.keys(ALLOWED[id] ?? {});
    const actions = Object.values(ALLOWED[id] ?? {}).flat();
    return [
      ...(actions.some((action) => action.startsWith("dynamodb:")) ? ["dynamodb"] : []),
      ...(resources.includes(SECRET) ? ["secretsmanager"] : []),
    ];
  };

  it.each(Object.keys(ALLOWED))(
    "like %s may use it only through the services that it calls",
    (id) => {
      const statements = throughServices(id);
      const used = statements.map(({ Condition }) =>
        written(Condition?.["StringEquals"]?.["kms:ViaService"]),
      );
      expect([...used].sort()).toEqual(
        services(id).map((service) => `${service}.eu-central-1.<URLSuffix>`),
      );
      for (const { Action, Resource, Condition } of statements) {
        expect(Resource).toBe(KEY);
        expect(Object.keys(Condition ?? {})).toEqual(["StringEquals"]);
        const service = written(Condition?.["StringEquals"]?.["kms:ViaService"]);
        expect(asList(Action)).toEqual(
          service.startsWith("secretsmanager.")
            ? ["kms:Decrypt"]
            : [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
              ],
        );
      }
    },
  );

  it("has no other additional permissions", () => {
    for (const id of Object.keys(ALLOWED)) {
      const template = id.startsWith("Mpc") ? ofKey.handlers : ofKey.notifications;
      const { [KEY]: ofTheKey, ...others } = grantsOf(template, id);
      expect(ofTheKey === undefined).toBe(services(id).length === 0);
      const here = Object.entries(ALLOWED[id] ?? {}).map(
        ([resource, actions]): [string, string[]] => [
          resource.replace(PLACE, "eu-central-1:123456789012"),
          actions,
        ],
      );
      expect(others).toEqual({ ...base(id), ...Object.fromEntries(here) });
    }
  });

  it("has no permission for KMS if there is no key", () => {
    expect(JSON.stringify([notifications, handlers])).not.toContain("kms:");
  });
});

describe("a workflow", () => {
  it.each([...workflowFiles()])(
    "like %s may call the steps of its file and those that definitions of release 0.1 also call",
    (id, file) => {
      const { "*": withoutResource, ...steps } = grantsOf(notifications, id);
      const called = [...stepsCalledBy(file), "PublishMetrics"];
      expect(steps).toEqual(
        Object.fromEntries(called.map((step) => [`${step}Live`, ["lambda:InvokeFunction"]])),
      );
      for (const action of withoutResource ?? []) expect(action).toMatch(/^(logs|xray):/);
    },
  );
});

describe("the schedule of the sweeps", () => {
  const SCHEDULER = "scheduler.amazonaws.com";
  /** The roles that EventBridge Scheduler may assume: logical id → the policy of who may assume it. */
  const rolesOf = (template: Template) =>
    resourcesOf(template, "AWS::IAM::Role").filter(([, { Properties }]) =>
      JSON.stringify(Properties["AssumeRolePolicyDocument"]).includes(SCHEDULER),
    );

  it.each(ENVIRONMENT_NAMES)(
    "in %s has a role of its own, which may only call the alias of SweepReminders",
    (environment) => {
      const { notifications, handlers } = templatesOf({ environment });
      const [[id, role] = [], ...more] = rolesOf(notifications);
      expect(more).toEqual([]);
      expect(rolesOf(handlers)).toEqual([]);
      expect(role?.Properties["AssumeRolePolicyDocument"]).toMatchObject({
        Statement: [
          { Action: "sts:AssumeRole", Effect: "Allow", Principal: { Service: SCHEDULER } },
        ],
      });
      const [[, schedule] = []] = resourcesOf(notifications, "AWS::Scheduler::Schedule");
      expect(schedule?.Properties["Target"]).toMatchObject({
        RoleArn: { "Fn::GetAtt": [id, "Arn"] },
      });
      expect(grantsOf(notifications, "SweepRemindersSchedule")).toEqual({
        SweepRemindersLive: ["lambda:InvokeFunction"],
      });
    },
  );
});

describe("CodeDeploy", () => {
  it.each([
    ["functions", notifications],
    ["handlers", handlers],
  ])("may shift the aliases of our %s, and no others", (_, template) => {
    const grants = grantsOf(template, "Releases");
    const { "*": withoutResource, ...functions } = grants;
    expect(withoutResource).toEqual(["cloudwatch:DescribeAlarms"]);
    const shifts = [
      "lambda:GetAlias",
      "lambda:GetProvisionedConcurrencyConfig",
      "lambda:UpdateAlias",
    ];
    for (const actions of Object.values(functions)) expect(actions).toEqual(shifts);
    const deployed = resourcesOf(template, "AWS::Lambda::Function");
    // Each function and its alias.
    expect(Object.keys(functions)).toHaveLength(2 * deployed.length);
  });
});

describe("no policy", () => {
  const LOG_DELIVERIES = "log deliveries of state machines have no ARN";
  const TRACES = "X-Ray traces have no ARN";
  /** The actions for which AWS supports no resource: action → why. */
  const WITHOUT_RESOURCE: Record<string, string> = {
    "cloudwatch:DescribeAlarms": "CodeDeploy lists alarms, and AWS's own policy for it also uses *",
    "cloudwatch:PutMetricData": "CloudWatch metrics have no ARN; a condition limits the namespace",
    "logs:CreateLogDelivery": LOG_DELIVERIES,
    "logs:GetLogDelivery": LOG_DELIVERIES,
    "logs:UpdateLogDelivery": LOG_DELIVERIES,
    "logs:DeleteLogDelivery": LOG_DELIVERIES,
    "logs:ListLogDeliveries": LOG_DELIVERIES,
    "logs:PutResourcePolicy": LOG_DELIVERIES,
    "logs:DescribeResourcePolicies": LOG_DELIVERIES,
    "logs:DescribeLogGroups": LOG_DELIVERIES,
    "xray:PutTraceSegments": TRACES,
    "xray:PutTelemetryRecords": TRACES,
    "xray:GetSamplingRules": TRACES,
    "xray:GetSamplingTargets": TRACES,
  };
  /** The actions whose resource names end in a part that is not known in advance: action → that part, and why. */
  const WITH_PATTERN: Record<string, { ends: RegExp; why: string }> = {
    "secretsmanager:GetSecretValue": {
      ends: /:secret:apgl(-dev)?\/slack-api-token-\?{6}$/,
      why: "Secrets Manager appends six characters to a secret's name",
    },
    "states:DescribeExecution": {
      ends: /:execution:apgl(-dev)?-[a-z-]+:\*$/,
      why: "an execution gets its name when it is started",
    },
    "states:GetExecutionHistory": {
      ends: /:execution:apgl(-dev)?-[a-z-]+:\*$/,
      why: "an execution gets its name when it is started",
    },
  };
  const all: [string, Template][] = [
    ...ENVIRONMENT_NAMES.map((environment) => ({ environment })),
    { kmsKeyArn: KEY, ...EXISTING_TABLES },
  ].flatMap((context) => {
    const templates = templatesOf(context);
    const name = "environment" in context ? context.environment : "prod with a key and tables";
    return [
      [`of the workflows in ${name}`, templates.notifications],
      [`of the handlers in ${name}`, templates.handlers],
    ] satisfies [string, Template][];
  });

  const allowedBy = (template: Template): Statement[] =>
    resourcesOf(template, "AWS::IAM::Policy").flatMap(([, policy]) => statementsIn(policy));

  it.each(all)("%s allows every action of a service", (_, template) => {
    for (const { Effect, Action } of allowedBy(template)) {
      expect(Effect).toBe("Allow");
      for (const action of asList(Action)) expect(action).toMatch(/^[a-z]+:[A-Za-z]+$/);
    }
  });

  it.each(all)("%s allows any resource, except for actions that have none", (_, template) => {
    for (const { Action, Resource } of allowedBy(template)) {
      for (const resource of asList(Resource).map(written)) {
        if (!/[*?]/.test(resource)) continue;
        for (const action of asList(Action)) {
          if (resource === "*") expect(Object.keys(WITHOUT_RESOURCE)).toContain(action);
          else expect(resource).toMatch(WITH_PATTERN[action]?.ends ?? /^no pattern$/);
        }
      }
    }
  });

  it.each(all)("%s is managed by AWS and allows more than is needed", (_, template) => {
    for (const [, { Properties }] of resourcesOf(template, "AWS::IAM::Role")) {
      expect(Properties["ManagedPolicyArns"]).toBeUndefined();
      expect(Properties["Policies"]).toBeUndefined();
    }
    expect(resourcesOf(template, "AWS::IAM::ManagedPolicy")).toEqual([]);
  });

  it.each(all)("%s lets more than one service assume a role", (_, template) => {
    for (const [, { Properties }] of resourcesOf(template, "AWS::IAM::Role")) {
      const { Statement } = Properties["AssumeRolePolicyDocument"] as { Statement: Statement[] };
      expect(Statement).toHaveLength(1);
      expect(written((Statement[0]?.Principal as { Service?: unknown }).Service)).toMatch(
        /^(lambda|states|codedeploy|scheduler)\.amazonaws\.com$/,
      );
    }
  });

  it.each(all)("%s opens a queue or a topic to other accounts", (_, template) => {
    const policies = ["AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"].flatMap((type) =>
      resourcesOf(template, type),
    );
    for (const { Effect, Principal, Condition } of policies.flatMap(([, one]) =>
      statementsIn(one),
    )) {
      if (Effect === "Deny") continue;
      expect(Object.keys(Principal as object)).toEqual(["Service"]);
      const limits = Object.values(Condition ?? {}).flatMap((condition) => Object.keys(condition));
      expect(["aws:SourceArn", "aws:SourceAccount"]).toEqual(expect.arrayContaining(limits));
      expect(limits).not.toEqual([]);
    }
  });
});

function conditionsOf(template: Template, id: string, action: string) {
  return statementsOf(template, id)
    .filter((statement) => asList(statement.Action).includes(action))
    .map(({ Condition }) => Condition);
}

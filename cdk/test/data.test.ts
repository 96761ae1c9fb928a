import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { workflowFiles } from "../lib/workflow.js";
import {
  allOf,
  appOf,
  ENVIRONMENT_NAMES,
  EXISTING_TABLES,
  KEY,
  stacksOf,
  templatesOf,
  type Context,
} from "./deployment.js";
import { FUNCTIONS } from "./fake-functions.js";
import { grantsOf, resourcesOf, statementsIn, written } from "./template.js";

const TABLE = "AWS::DynamoDB::GlobalTable";
const SECRET = "AWS::SecretsManager::Secret";
const LOG_GROUP = "AWS::Logs::LogGroup";
const QUEUE = "AWS::SQS::Queue";
const VERSION = "AWS::Lambda::Version";

const WITHOUT_DATA_TO_KEEP = ["dev", "local"];

const production = templatesOf();

describe("tables", () => {
  it("have their keys and the prefix, and are billed by use", () => {
    const keys = {
      "user-profiles": "email",
      "slack-users": "email",
      channels: "name",
      deliveries: "deliveryId",
    };
    const template = templatesOf({ prefix: "other" }).notifications;
    template.resourceCountIs(TABLE, Object.keys(keys).length + 3);
    for (const [name, key] of Object.entries(keys)) {
      template.hasResourceProperties(TABLE, {
        TableName: `other-${name}`,
        AttributeDefinitions: [{ AttributeName: key, AttributeType: "S" }],
        KeySchema: [{ AttributeName: key, KeyType: "HASH" }],
        BillingMode: "PAY_PER_REQUEST",
        TimeToLiveSpecification: { AttributeName: "expiresAt", Enabled: true },
      });
    }
  });

  it("store reservations by execution, and quotas by name", () => {
    production.notifications.hasResourceProperties(TABLE, {
      TableName: "apgl-rate-limits",
      KeySchema: [
        { AttributeName: "owner", KeyType: "HASH" },
        { AttributeName: "item", KeyType: "RANGE" },
      ],
    });
  });

  it("store an item and its card under the item's id", () => {
    production.notifications.hasResourceProperties(TABLE, {
      TableName: "apgl-items",
      KeySchema: [
        { AttributeName: "itemId", KeyType: "HASH" },
        { AttributeName: "row", KeyType: "RANGE" },
      ],
    });
  });

  it("index items by the hour in which to look at them, and by person", () => {
    const [hour, person] = [
      { AttributeName: "lookHour", AttributeType: "S" },
      { AttributeName: "userId", AttributeType: "S" },
    ];
    production.notifications.hasResourceProperties(TABLE, {
      TableName: "apgl-items",
      AttributeDefinitions: Match.arrayWith([hour, person]),
      GlobalSecondaryIndexes: [
        {
          IndexName: "byHour",
          KeySchema: [{ AttributeName: "lookHour", KeyType: "HASH" }],
          Projection: { ProjectionType: "KEYS_ONLY" },
        },
        {
          IndexName: "byPerson",
          KeySchema: [{ AttributeName: "userId", KeyType: "HASH" }],
          Projection: { ProjectionType: "KEYS_ONLY" },
        },
      ],
    });
  });

  it("index receipts by execution, by channel and by running workflow", () => {
    const index = (IndexName: string, hash: string, range: string) => ({
      IndexName,
      KeySchema: [
        { AttributeName: hash, KeyType: "HASH" },
        { AttributeName: range, KeyType: "RANGE" },
      ],
    });
    production.notifications.hasResourceProperties(TABLE, {
      TableName: "apgl-receipts",
      GlobalSecondaryIndexes: [
        Match.objectLike(index("byChannel", "channelName", "startedAt")),
        Match.objectLike(index("running", "runningWorkflow", "runningSince")),
      ],
    });
  });

  it("in production have point-in-time recovery, deletion protection and encryption by KMS", () => {
    production.notifications.allResourcesProperties(TABLE, {
      SSESpecification: { SSEEnabled: true, SSEType: "KMS" },
      Replicas: [
        {
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          DeletionProtectionEnabled: true,
          SSESpecification: Match.absent(),
        },
      ],
    });
  });

  it.each(WITHOUT_DATA_TO_KEEP)("in %s have none of these", (environment) => {
    templatesOf({ environment }).notifications.allResourcesProperties(TABLE, {
      SSESpecification: Match.absent(),
      Replicas: [
        {
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false },
          DeletionProtectionEnabled: false,
        },
      ],
    });
  });

  it("are encrypted with an existing key, whether or not their data is kept", () => {
    for (const environment of ["prod", "dev"]) {
      templatesOf({ environment, kmsKeyArn: KEY }).notifications.allResourcesProperties(TABLE, {
        SSESpecification: { SSEEnabled: true, SSEType: "KMS" },
        Replicas: [{ Region: "eu-central-1", SSESpecification: { KMSMasterKeyId: KEY } }],
      });
    }
  });
});

describe("the secret", () => {
  it("has no value: an operator sets the token", () => {
    production.notifications.hasResourceProperties(SECRET, {
      Name: "apgl/slack-api-token",
      SecretString: Match.absent(),
      GenerateSecretString: Match.absent(),
      KmsKeyId: Match.absent(),
    });
  });

  it("is encrypted with an existing key", () => {
    templatesOf({ kmsKeyArn: KEY }).notifications.hasResourceProperties(SECRET, { KmsKeyId: KEY });
  });
});

describe("an existing resource", () => {
  const USED_BY: [keyof typeof EXISTING_TABLES, string, string[], string][] = [
    ["userProfilesTableName", "USER_PROFILES_TABLE", ["FilterByPreference"], "user-profiles"],
    [
      "slackUsersTableName",
      "SLACK_USERS_TABLE",
      [
        "ResolveUsers",
        "InviteMembers",
        "RemoveMembers",
        "OpenConversation",
        "PlanReminders",
        "SendReminder",
        "SweepReminders",
      ],
      "slack-users",
    ],
    [
      "channelsTableName",
      "CHANNELS_TABLE",
      [
        "FindChannel",
        "EnsureChannel",
        "InviteMembers",
        "RemoveMembers",
        "PostMessage",
        "SendEscalation",
        "SendReminder",
        "UpdateCard",
        "ArchiveChannel",
      ],
      "channels",
    ],
    [
      "deliveriesTableName",
      "DELIVERIES_TABLE",
      ["PostMessage", "SendEscalation", "SendReminder", "UpdateCard"],
      "deliveries",
    ],
    [
      "rateLimitsTableName",
      "RATE_LIMITS_TABLE",
      [
        "ResolveUsers",
        "FindChannel",
        "EnsureChannel",
        "InviteMembers",
        "RemoveMembers",
        "OpenConversation",
        "PostMessage",
        "SendEscalation",
        "SendReminder",
        "UpdateCard",
        "ArchiveChannel",
        "RecordOutcome",
      ],
      "rate-limits",
    ],
    ["receiptsTableName", "RECEIPTS_TABLE", ["RecordOutcome", "WatchExecutions"], "receipts"],
    [
      "itemsTableName",
      "ITEMS_TABLE",
      [
        "FindEscalation",
        "SendEscalation",
        "RecordItem",
        "PlanReminders",
        "FindReminder",
        "SendReminder",
        "SweepReminders",
        "UpdateCard",
      ],
      "items",
    ],
  ];

  /** Functions that get a table's name but may not use the table: setting → functions. */
  const ONLY_NAMED: Partial<Record<keyof typeof EXISTING_TABLES, string[]>> = {
    // It shares code with the steps that post to channels, but only writes to people.
    channelsTableName: ["SendReminder"],
  };

  it.each(USED_BY)(
    "named by %s is used instead of a new table",
    (setting, variable, users, name) => {
      const table = EXISTING_TABLES[setting];
      const template = templatesOf({ [setting]: table }).notifications;
      const tables = resourcesOf(template, TABLE).map(
        ([, { Properties }]) => Properties["TableName"],
      );
      expect(tables).toHaveLength(6);
      expect(tables).not.toContain(`apgl-${name}`);
      const functions = resourcesOf(template, "AWS::Lambda::Function").filter(
        ([, { Properties }]) =>
          JSON.stringify(Properties["Environment"] ?? {}).includes(`"${variable}":"${table}"`),
      );
      expect(functions.map(([id]) => id.replace(/Function[0-9A-F]{8}$/, "")).sort()).toEqual(
        [...users].sort(),
      );
      for (const user of users) {
        const resources = Object.keys(grantsOf(template, user));
        const here = resources.filter((resource) => resource.endsWith(`:table/${table}`));
        const uses = !(ONLY_NAMED[setting] ?? []).includes(user);
        const arn = `arn:<Partition>:dynamodb:<Region>:<AccountId>:table/${table}`;
        expect(here).toEqual(uses ? [arn] : []);
      }
    },
  );

  it.each([
    ["receiptsTableName", "running", ["WatchExecutions"]],
    ["itemsTableName", "byHour", ["SweepReminders"]],
    ["itemsTableName", "byPerson", ["FindReminder", "SendReminder"]],
  ] as const)("named by %s is queried by its index %s", (setting, index, users) => {
    const table = EXISTING_TABLES[setting];
    const template = templatesOf({ [setting]: table }).notifications;
    for (const user of users) {
      expect(grantsOf(template, user)).toMatchObject({
        [`arn:<Partition>:dynamodb:<Region>:<AccountId>:table/${table}/index/${index}`]: [
          "dynamodb:Query",
        ],
      });
    }
  });

  it("can replace each of the tables", () => {
    templatesOf(EXISTING_TABLES).notifications.resourceCountIs(TABLE, 0);
  });

  it("named by slackTokenSecretName is used instead of a new secret", () => {
    const template = templatesOf({ slackTokenSecretName: "library/slack" }).notifications;
    template.resourceCountIs(SECRET, 0);
    template.hasResourceProperties("AWS::Lambda::Function", {
      FunctionName: "apgl-post-message",
      Environment: { Variables: { SLACK_TOKEN_SECRET: "library/slack" } },
    });
    expect(grantsOf(template, "PostMessage")).toHaveProperty([
      "arn:<Partition>:secretsmanager:<Region>:<AccountId>:secret:library/slack-??????",
    ]);
    template.hasOutput("SlackApiTokenSecretName", { Value: "library/slack" });
  });

  it("named by kmsKeyArn is used instead of a new key", () => {
    for (const template of allOf({ kmsKeyArn: KEY })) template.resourceCountIs("AWS::KMS::Key", 0);
  });
});

describe("log groups", () => {
  it("exist for every function, every workflow and the requests, so that AWS creates none", () => {
    const groups = allOf().map((template) => resourcesOf(template, LOG_GROUP).length);
    expect(groups[0]).toBeDefined();
    expect(groups.reduce((sum, count) => sum + count)).toBe(
      FUNCTIONS.length + workflowFiles().size + 1,
    );
    for (const template of allOf()) {
      template.allResourcesProperties("AWS::Lambda::Function", {
        LoggingConfig: { LogFormat: "JSON", LogGroup: { Ref: Match.stringLikeRegexp("Logs") } },
      });
    }
  });

  it.each([
    [{}, 90],
    [{ environment: "dev" }, 14],
    [{ environment: "local" }, 1],
    [{ environment: "dev", logRetentionDays: "30" }, 30],
  ])("of %j are kept for %i days", (context, days) => {
    for (const template of allOf(context)) {
      template.allResourcesProperties(LOG_GROUP, { RetentionInDays: days });
    }
  });

  it.each(["prod", "dev", "local"])("in %s mask e-mail addresses", (environment) => {
    for (const template of allOf({ environment })) {
      for (const [, { Properties }] of resourcesOf(template, LOG_GROUP)) {
        const { Statement } = Properties["DataProtectionPolicy"] as {
          Statement: { DataIdentifier: unknown[]; Operation: Record<string, unknown> }[];
        };
        expect(Statement.map(({ Operation }) => Object.keys(Operation))).toEqual([
          ["Audit"],
          ["Deidentify"],
        ]);
        for (const { DataIdentifier } of Statement) {
          expect(DataIdentifier.map(written)).toEqual([
            "arn:<Partition>:dataprotection::aws:data-identifier/EmailAddress",
          ]);
        }
      }
    }
  });

  it("are encrypted with an existing key", () => {
    for (const template of allOf({ kmsKeyArn: KEY })) {
      template.allResourcesProperties(LOG_GROUP, { KmsKeyId: KEY });
    }
    for (const template of allOf()) {
      template.allResourcesProperties(LOG_GROUP, { KmsKeyId: Match.absent() });
    }
  });

  it("of workflows contain no messages or addresses unless the settings ask for them", () => {
    const machines = "AWS::StepFunctions::StateMachine";
    const logging = (IncludeExecutionData: boolean) => ({
      LoggingConfiguration: { IncludeExecutionData, Level: "ALL" },
    });
    for (const environment of ["prod", "dev", "local"]) {
      const template = templatesOf({ environment }).notifications;
      template.allResourcesProperties(machines, logging(false));
    }
    const asked = templatesOf({ logExecutionData: true }).notifications;
    asked.allResourcesProperties(machines, logging(true));
  });
});

describe("a resource with data", () => {
  const KINDS = [TABLE, SECRET, LOG_GROUP, QUEUE, VERSION];
  const policies = (context: Context) =>
    new Set(
      allOf(context)
        .flatMap((template) => KINDS.flatMap((kind) => resourcesOf(template, kind)))
        .map(([, { DeletionPolicy, UpdateReplacePolicy }]) => [DeletionPolicy, UpdateReplacePolicy])
        .map((pair) => pair.join("/")),
    );

  it("outlives its stack in production, but not a failed creation", () => {
    expect(policies({})).toEqual(new Set(["RetainExceptOnCreate/Retain"]));
    expect(policies({ environment: "dev", keepData: true })).toEqual(
      new Set(["RetainExceptOnCreate/Retain"]),
    );
  });

  it.each(WITHOUT_DATA_TO_KEEP)("is deleted with its stack in %s", (environment) => {
    expect(policies({ environment })).toEqual(new Set(["Delete/Delete"]));
  });
});

describe("a queue", () => {
  it.each(ENVIRONMENT_NAMES)(
    "in %s keeps messages for 14 days, which is SQS's maximum",
    (environment) => {
      for (const template of allOf({ environment })) {
        template.allResourcesProperties(QUEUE, { MessageRetentionPeriod: 14 * 24 * 60 * 60 });
      }
    },
  );
});

describe("a rule that passes events on", () => {
  it.each(ENVIRONMENT_NAMES)(
    "in %s keeps those that it can't deliver as dead letters",
    (environment) => {
      const targets = allOf({ environment })
        .flatMap((template) => resourcesOf(template, "AWS::Events::Rule"))
        .filter(([, { Properties }]) => Properties["EventPattern"] !== undefined)
        .flatMap(([, { Properties }]) => Properties["Targets"] as { DeadLetterConfig?: unknown }[]);
      expect(targets).toHaveLength(2);
      for (const target of targets) expect(target.DeadLetterConfig).toBeDefined();
    },
  );
});

describe("queues and the topic", () => {
  const denials = (template: Template, type: string) =>
    resourcesOf(template, type).map(([, policy]) =>
      statementsIn(policy).filter(({ Effect }) => Effect === "Deny"),
    );
  const withoutTls = [
    expect.objectContaining({ Condition: { Bool: { "aws:SecureTransport": "false" } } }),
  ];

  it.each(["prod", "dev"])("in %s accept only TLS", (environment) => {
    const { notifications, handlers } = templatesOf(
      environment === "dev" ? { environment, alarms: true, gradualShift: false } : { environment },
    );
    const onQueues = denials(handlers, "AWS::SQS::QueuePolicy");
    expect(onQueues).toHaveLength(resourcesOf(handlers, QUEUE).length);
    for (const statements of onQueues) expect(statements).toEqual(withoutTls);
    expect(denials(notifications, "AWS::SNS::TopicPolicy")).toEqual([withoutTls]);
  });

  it("accept HTTP on the local stack, which has no TLS", () => {
    const { notifications, handlers } = templatesOf({ environment: "local" });
    expect(denials(handlers, "AWS::SQS::QueuePolicy").flat()).toEqual([]);
    expect(denials(notifications, "AWS::SNS::TopicPolicy").flat()).toEqual([]);
  });

  it("are encrypted", () => {
    for (const environment of ["prod", "dev", "local"]) {
      const { handlers } = templatesOf({ environment });
      handlers.resourceCountIs(QUEUE, 3);
      handlers.allResourcesProperties(QUEUE, { SqsManagedSseEnabled: true });
    }
  });
});

describe("a deployment that keeps data", () => {
  it("needs no alarms, and is possible in any environment", () => {
    const [stack] = stacksOf(appOf({ environment: "dev", keepData: true }));
    expect(stack?.terminationProtection).toBe(true);
  });
});

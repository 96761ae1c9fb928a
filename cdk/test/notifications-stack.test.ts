import * as fs from "node:fs";
import { App, Stack } from "aws-cdk-lib";
import { Capture, Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { NotificationsStack } from "../lib/notifications-stack.js";
import { readSettings } from "../lib/settings.js";
import { kebabCase } from "../lib/rust-function.js";
import { StepFunction } from "../lib/step-function.js";
import { stepsCalledBy, Workflow, workflowFiles } from "../lib/workflow.js";
import { fakeFunctionsDir, STEPS } from "./fake-functions.js";
import { asList, masked, statementsOf, type Resource, type Statement } from "./template.js";

const functionsDir = fakeFunctionsDir();

function stackOf(context: Record<string, unknown> = {}): NotificationsStack {
  const app = new App({ context: { functionsDir, ...context } });
  return new NotificationsStack(app, "stack", { settings: readSettings(app.node) });
}

const templateOf = (context?: Record<string, unknown>) => Template.fromStack(stackOf(context));

const template = templateOf();

describe("functions", () => {
  it("are the steps in functions/, each with an alias", () => {
    const functions = Object.values(template.findResources("AWS::Lambda::Function")) as Resource[];
    const names = functions.map(({ Properties }) => Properties["FunctionName"]).sort();
    expect(names).toEqual(STEPS.map((crate) => `apgl-${crate}`));
    template.allResourcesProperties("AWS::Lambda::Function", {
      Runtime: "provided.al2023",
      Architectures: ["arm64"],
      LoggingConfig: { LogFormat: "JSON" },
    });
    template.resourceCountIs("AWS::Lambda::Alias", STEPS.length);
  });

  it("are built for the architecture that is asked for", () => {
    templateOf({ architecture: "x86_64" }).allResourcesProperties("AWS::Lambda::Function", {
      Architectures: ["x86_64"],
    });
  });

  it("that are not built stop the synthesis with what to do", () => {
    expect(() => stackOf({ functionsDir: "/nonexistent" })).toThrow(/cargo lambda build/);
  });

  const findsChannels = ["BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "UpdateItem"];
  const looksUp = ["BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem"];
  /** What each function may do to which table. */
  const tables: Record<string, Record<string, string[]>> = {
    FilterByPreference: { UserProfiles: ["BatchGetItem"] },
    ResolveUsers: { SlackUsers: looksUp },
    FindChannel: { Channels: findsChannels },
    EnsureChannel: { Channels: [...findsChannels, "DeleteItem"] },
    InviteMembers: {
      Channels: ["GetItem", "PutItem", "UpdateItem"],
      SlackUsers: [...looksUp, "DeleteItem"],
    },
    RemoveMembers: { Channels: ["GetItem", "PutItem", "UpdateItem"], SlackUsers: ["DeleteItem"] },
    PostMessage: { Channels: ["UpdateItem"], Deliveries: ["PutItem"] },
    ArchiveChannel: { Channels: ["BatchWriteItem", "DeleteItem", "UpdateItem"] },
  };
  const readsToken = [
    "ArchiveChannel",
    "EnsureChannel",
    "FindChannel",
    "InviteMembers",
    "PostMessage",
    "RemoveMembers",
    "ResolveUsers",
  ];
  const ids = stackOf()
    .node.children.filter((child) => child instanceof StepFunction)
    .map((child) => child.node.id);

  it.each(ids)("%s may do what it needs and nothing else", (id) => {
    const statements = statementsOf(template, id);
    const granted = (service: string) =>
      statements.filter(({ Action }) => asList(Action).every((name) => name.startsWith(service)));
    const services = statements.flatMap(({ Action }) =>
      asList(Action).map((name) => name.split(":")[0]),
    );
    const grantedTables = granted("dynamodb:").map(({ Action, Resource }) => {
      const table = /"([A-Za-z]+?)[0-9A-F]{8}"/.exec(JSON.stringify(Resource))?.[1];
      return [
        table,
        asList(Action)
          .map((action) => action.replace("dynamodb:", ""))
          .sort(),
      ];
    });
    const allowedTables = Object.entries({
      ...tables[id],
      // Whoever calls Slack queues for it.
      ...(readsToken.includes(id) ? { Pacing: ["GetItem", "UpdateItem"] } : {}),
    });

    expect(Object.fromEntries(grantedTables)).toEqual(
      Object.fromEntries(allowedTables.map(([table, actions]) => [table, [...actions].sort()])),
    );
    expect(grantedTables.length).toBe(allowedTables.length);
    expect(granted("secretsmanager:").length).toBe(readsToken.includes(id) ? 1 : 0);
    expect(granted("cloudwatch:").length).toBe(id === "PublishMetrics" ? 1 : 0);
    expect(granted("logs:").length).toBe(1);
    expect(new Set(services)).toEqual(
      new Set([
        "logs",
        ...(allowedTables.length === 0 ? [] : ["dynamodb"]),
        ...(readsToken.includes(id) ? ["secretsmanager"] : []),
        ...(id === "PublishMetrics" ? ["cloudwatch"] : []),
      ]),
    );
  });

  it("call Slack without a queue where pacing is off", () => {
    const unpaced = templateOf({ pacing: false });
    expect(JSON.stringify(unpaced)).not.toContain("PACING_TABLE");
    unpaced.resourceCountIs("AWS::DynamoDB::GlobalTable", 4);
  });

  it("know of another pace of time on the local stack only", () => {
    const scaled = JSON.stringify(templateOf({ local: true, timeScale: 0.05 }));
    expect(scaled).toContain('"TIME_SCALE":"0.05"');
    expect(JSON.stringify(template)).not.toContain("TIME_SCALE");
  });

  it("publish metrics in our namespace only", () => {
    expect(statementsOf(template, "PublishMetrics")).toContainEqual(
      expect.objectContaining({
        Action: "cloudwatch:PutMetricData",
        Condition: { StringEquals: { "cloudwatch:namespace": "APGL/Notifications" } },
      }),
    );
  });

  it("read the secret by a pattern that its ARN matches", () => {
    const [statement] = statementsOf(template, "PostMessage").filter(({ Action }) =>
      asList(Action).includes("secretsmanager:GetSecretValue"),
    );
    expect(JSON.stringify(statement?.Resource)).toContain(":secret:apgl/slack-api-token-??????");
  });

  it("count a failure once each time a workflow of ours ends badly", () => {
    template.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: {
        source: ["aws.states"],
        detail: {
          status: ["FAILED", "TIMED_OUT", "ABORTED"],
          stateMachineArn: [...workflowFiles().keys()].map((id) => ({
            Ref: Match.stringLikeRegexp(`^${id}StateMachine`),
          })),
        },
      },
      Targets: [{ Arn: { Ref: Match.stringLikeRegexp("^PublishMetricsLive") } }],
    });
  });
});

describe("no policy", () => {
  /** Where AWS offers no resource to name: action → why. */
  const withoutResource: Record<string, string> = {
    "cloudwatch:PutMetricData": "CloudWatch metrics have no ARN; a condition limits the namespace",
    "logs:CreateLogDelivery": "log deliveries of state machines have no ARN",
    "logs:GetLogDelivery": "log deliveries of state machines have no ARN",
    "logs:UpdateLogDelivery": "log deliveries of state machines have no ARN",
    "logs:DeleteLogDelivery": "log deliveries of state machines have no ARN",
    "logs:ListLogDeliveries": "log deliveries of state machines have no ARN",
    "logs:PutResourcePolicy": "log deliveries of state machines have no ARN",
    "logs:DescribeResourcePolicies": "log deliveries of state machines have no ARN",
    "logs:DescribeLogGroups": "log deliveries of state machines have no ARN",
  };
  const policies = Object.values(template.findResources("AWS::IAM::Policy")) as Resource[];
  const statements = policies.flatMap(
    ({ Properties }) => (Properties["PolicyDocument"] as { Statement: Statement[] }).Statement,
  );

  it("allows every action of a service", () => {
    for (const { Action } of statements) {
      for (const action of asList(Action)) expect(action).not.toContain("*");
    }
  });

  it("names every resource, but for actions that have none", () => {
    const unlimited = statements.filter(({ Resource }) => asList(Resource).includes("*"));
    for (const action of unlimited.flatMap(({ Action }) => asList(Action))) {
      expect(Object.keys(withoutResource)).toContain(action);
    }
  });

  it("is AWS's own, which grants more than a step needs", () => {
    for (const role of Object.values(template.findResources("AWS::IAM::Role")) as Resource[]) {
      expect(role.Properties["ManagedPolicyArns"]).toBeUndefined();
    }
  });
});

describe("workflows", () => {
  const files = [...workflowFiles()];

  it.each(files)("%s has every placeholder filled in, and fills in no other", (id, file) => {
    const machines = template.findResources("AWS::StepFunctions::StateMachine");
    const [machine] = Object.entries(machines)
      .filter(([logicalId]) => logicalId.startsWith(`${id}StateMachine`))
      .map(([, resource]) => resource as Resource);
    const substitutions = machine?.Properties["DefinitionSubstitutions"] as Record<string, unknown>;
    const placeholders = [...fs.readFileSync(file, "utf8").matchAll(/\$\{(.*?)\}/g)].map(
      ([, name]) => name,
    );
    expect(Object.keys(substitutions).sort()).toEqual([...new Set(placeholders)].sort());
  });

  it.each(files)("%s may call the steps of its file and no other", (id, file) => {
    const invoked = statementsOf(template, id)
      .filter(({ Action }) => asList(Action).includes("lambda:InvokeFunction"))
      .flatMap(({ Resource }) => asList(Resource))
      .map((resource) => /"Ref":"([A-Za-z]+?)Live/.exec(JSON.stringify(resource))?.[1])
      .filter((step) => step !== undefined);
    expect([...new Set(invoked)].sort()).toEqual(stepsCalledBy(file));
  });

  it("are Standard, log without execution data and are named by their files", () => {
    for (const [, file] of files) {
      const name = /([a-z-]+)\.asl\.json$/.exec(file)?.[1] ?? "";
      template.hasResourceProperties("AWS::StepFunctions::StateMachine", {
        StateMachineName: `apgl-${name}`,
        StateMachineType: Match.absent(),
        LoggingConfiguration: { IncludeExecutionData: false, Level: "ALL" },
      });
    }
  });

  it("name one step by one name: crate, state, placeholder and construct", () => {
    for (const [, file] of files) {
      const { States } = JSON.parse(fs.readFileSync(file, "utf8")) as {
        States: Record<string, { Arguments?: { FunctionName: string } }>;
      };
      for (const [state, { Arguments }] of Object.entries(States)) {
        // The failure branch calls publish-metrics for what the console should show as counting.
        if (Arguments === undefined || state === "CountFailure") continue;
        expect(Arguments.FunctionName).toBe(`\${${state}FunctionArn}`);
        expect(STEPS).toContain(kebabCase(state));
      }
    }
  });

  it("wait for a step longer than its function runs", () => {
    const functions = Object.values(template.findResources("AWS::Lambda::Function")) as Resource[];
    const seconds = new Map(
      functions.map(({ Properties }) => [
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
    const settings = readSettings(new App({ context: { functionsDir } }).node);
    const [file] = workflowFiles().values();
    expect(
      () => new Workflow(stack, "Broken", { settings, file: file ?? "", steps: new Map() }),
    ).toThrow(/FunctionArn}, and there is no such function/);
  });
});

describe("tables and the secret", () => {
  it("have their keys and the prefix", () => {
    const keys = {
      "user-profiles": "email",
      "slack-users": "email",
      channels: "name",
      deliveries: "deliveryId",
      pacing: "limit",
    };
    for (const [name, key] of Object.entries(keys)) {
      templateOf({ prefix: "other" }).hasResourceProperties("AWS::DynamoDB::GlobalTable", {
        TableName: `other-${name}`,
        KeySchema: [{ AttributeName: key, KeyType: "HASH" }],
        BillingMode: "PAY_PER_REQUEST",
      });
    }
  });

  it("leave out the profiles where a table of them exists", () => {
    const template = templateOf({ userProfilesTableName: "library-users" });
    template.resourceCountIs("AWS::DynamoDB::GlobalTable", 4);
    template.hasResourceProperties("AWS::Lambda::Function", {
      Environment: { Variables: { USER_PROFILES_TABLE: "library-users" } },
    });
    const resource = new Capture();
    template.hasResourceProperties("AWS::IAM::Policy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Action: "dynamodb:BatchGetItem", Resource: resource }),
        ]),
      },
    });
    expect(JSON.stringify(resource.asObject())).toContain(":table/library-users");
  });

  it("are kept when the stack goes, except on the local stack", () => {
    for (const type of ["AWS::DynamoDB::GlobalTable", "AWS::SecretsManager::Secret"]) {
      template.allResources(type, { DeletionPolicy: "RetainExceptOnCreate" });
      templateOf({ local: true }).allResources(type, { DeletionPolicy: "Delete" });
    }
  });

  it("give the secret no value: an operator sets the token", () => {
    template.hasResourceProperties("AWS::SecretsManager::Secret", {
      Name: "apgl/slack-api-token",
      SecretString: Match.absent(),
      GenerateSecretString: Match.absent(),
    });
  });
});

describe("log groups", () => {
  it("have a retention", () => {
    template.allResourcesProperties("AWS::Logs::LogGroup", { RetentionInDays: 30 });
    template.resourceCountIs("AWS::Logs::LogGroup", STEPS.length + workflowFiles().size);
  });
});

describe("the template", () => {
  it("changes only on purpose", () => {
    expect(masked(template)).toMatchSnapshot();
  });
});

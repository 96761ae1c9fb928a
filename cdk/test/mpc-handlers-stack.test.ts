import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { MpcHandlersStack } from "../lib/mpc-handlers-stack.js";
import { readSettings } from "../lib/settings.js";
import { workflowFiles } from "../lib/workflow.js";
import { fakeFunctionsDir, HANDLERS } from "./fake-functions.js";
import { asList, masked, statementsOf, type Resource } from "./template.js";

const functionsDir = fakeFunctionsDir();

function templateOf(context: Record<string, unknown> = {}): Template {
  const app = new App({ context: { functionsDir, ...context } });
  return Template.fromStack(
    new MpcHandlersStack(app, "stack", { settings: readSettings(app.node) }),
  );
}

const template = templateOf();

/** The ARN of a handler's alias. */
const aliasOf = (handler: string) => ({ Ref: Match.stringLikeRegexp(`^${handler}Live`) });

describe("handlers", () => {
  it("are those in functions/, each with an alias", () => {
    const functions = Object.values(template.findResources("AWS::Lambda::Function")) as Resource[];
    const names = functions.map(({ Properties }) => Properties["FunctionName"]).sort();
    expect(names).toEqual(HANDLERS.map((crate) => `apgl-${crate}`));
    template.resourceCountIs("AWS::Lambda::Alias", HANDLERS.length);
  });

  const starts: Record<string, string[]> = {
    MpcRequestHandler: [...workflowFiles().keys()].filter((id) => id !== "CheckChannelExists"),
    MpcEventHandler: ["NotifyPrivateChannel"],
    MpcContentBountyProcessor: ["NotifyPublicChannel"],
  };

  it.each(Object.entries(starts))(
    "%s may start its workflows and nothing else",
    (id, workflows) => {
      const statements = statementsOf(template, id);
      const named = (action: string, kind: string) =>
        statements
          .filter(({ Action }) => asList(Action).includes(action))
          .flatMap(({ Resource }) => asList(Resource))
          .map((arn) => new RegExp(`:${kind}:apgl-([a-z-]+)`).exec(JSON.stringify(arn))?.[1])
          .sort();
      const names = workflows.map((id) => id.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase()).sort();
      expect(named("states:StartExecution", "stateMachine")).toEqual(names);
      expect(named("states:DescribeExecution", "execution")).toEqual(names);
      const services = statements.flatMap(({ Action }) =>
        asList(Action).map((action) => action.split(":")[0]),
      );
      const queues = id === "MpcRequestHandler" ? [] : ["sqs"];
      expect(new Set(services)).toEqual(new Set(["logs", "states", ...queues]));
      for (const { Resource } of statements) expect(asList(Resource)).not.toContain("*");
    },
  );

  it("find the state machines by what their ARNs start with", () => {
    const functions = Object.values(
      templateOf({ prefix: "other" }).findResources("AWS::Lambda::Function"),
    ) as Resource[];
    for (const { Properties } of functions) {
      expect(JSON.stringify(Properties["Environment"])).toContain(":stateMachine:other");
    }
  });
});

describe("requests", () => {
  it("are authorised by IAM on every route", () => {
    const routes = Object.values(template.findResources("AWS::ApiGatewayV2::Route")) as Resource[];
    expect(routes.map(({ Properties }) => Properties["RouteKey"]).sort()).toEqual([
      "DELETE /contexts/{channelName}",
      "PATCH /contexts/{channelName}/members",
      "POST /contexts",
      "POST /contexts/{channelName}/messages",
    ]);
    for (const { Properties } of routes) expect(Properties["AuthorizationType"]).toBe("AWS_IAM");
  });

  it("are throttled and logged", () => {
    template.hasResourceProperties("AWS::ApiGatewayV2::Stage", {
      StageName: "$default",
      DefaultRouteSettings: { ThrottlingRateLimit: 50 },
      AccessLogSettings: {
        Format: Match.serializedJson({
          requestTime: "$context.requestTime",
          requestId: "$context.requestId",
          routeKey: "$context.routeKey",
          path: "$context.path",
          status: "$context.status",
          caller: "$context.identity.userArn",
          error: "$context.error.message",
          integrationError: "$context.integrationErrorMessage",
        }),
      },
    });
  });
});

describe("events", () => {
  it("are those of content items, from one source", () => {
    template.hasResourceProperties("AWS::Events::Rule", {
      EventBusName: Match.absent(),
      EventPattern: { source: ["apgl.mpc"], "detail-type": ["Content Item State Changed"] },
      Targets: [{ Arn: aliasOf("MpcEventHandler") }],
    });
    templateOf({ mpcEventBusName: "library", mpcEventSource: "library.mpc" }).hasResourceProperties(
      "AWS::Events::Rule",
      { EventBusName: "library", EventPattern: { source: ["library.mpc"] } },
    );
  });

  it("that nobody could handle are kept, whether EventBridge or Lambda gives up", () => {
    const deadLetters = { "Fn::GetAtt": [Match.stringLikeRegexp("^EventDeadLetters"), "Arn"] };
    template.hasResourceProperties("AWS::Events::Rule", {
      Targets: [{ DeadLetterConfig: { Arn: deadLetters } }],
    });
    template.hasResourceProperties("AWS::Lambda::EventInvokeConfig", {
      Qualifier: { "Fn::Select": [7, { "Fn::Split": [":", aliasOf("MpcEventHandler")] }] },
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: deadLetters } },
    });
  });
});

describe("bounties", () => {
  it("come in batches of which single messages may fail", () => {
    template.hasResourceProperties("AWS::Lambda::EventSourceMapping", {
      FunctionName: {
        "Fn::Join": [
          "",
          [
            { "Fn::Select": [6, { "Fn::Split": [":", aliasOf("MpcContentBountyProcessor")] }] },
            ":live",
          ],
        ],
      },
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      BatchSize: 10,
    });
  });

  it("are hidden for longer than a handler may take with all its tries", () => {
    template.hasResourceProperties("AWS::SQS::Queue", {
      QueueName: "apgl-mpc-content-bounties",
      VisibilityTimeout: 120,
      RedrivePolicy: { maxReceiveCount: 5 },
    });
  });

  it("go to the channel that the settings name", () => {
    templateOf({ bountyChannel: "bounties" }).hasResourceProperties("AWS::Lambda::Function", {
      FunctionName: "apgl-mpc-content-bounty-processor",
      Environment: { Variables: { BOUNTY_CHANNEL: "bounties" } },
    });
  });
});

describe("queues", () => {
  it("are encrypted, take TLS only, and are kept when the stack goes, except on the local stack", () => {
    template.allResources("AWS::SQS::Queue", {
      DeletionPolicy: "RetainExceptOnCreate",
      Properties: { SqsManagedSseEnabled: true },
    });
    template.resourceCountIs("AWS::SQS::QueuePolicy", 3);
    template.allResourcesProperties("AWS::SQS::QueuePolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: "Deny",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          }),
        ]),
      },
    });
    templateOf({ local: true }).allResources("AWS::SQS::Queue", { DeletionPolicy: "Delete" });
  });
});

describe("the template", () => {
  it("changes only on purpose", () => {
    expect(masked(template)).toMatchSnapshot();
  });
});

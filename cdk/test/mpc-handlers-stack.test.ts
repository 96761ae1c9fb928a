import { Match } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { templatesOf, type Context } from "./deployment.js";
import { HANDLERS } from "./fake-functions.js";
import { masked, resourcesOf, typesOf } from "./template.js";

const templateOf = (context?: Context) => templatesOf(context).handlers;

const template = templateOf();

/** The ARN of a handler's alias. */
const aliasOf = (handler: string) => ({ Ref: Match.stringLikeRegexp(`^${handler}Live`) });

describe("handlers", () => {
  it("are those in functions/, each with an alias", () => {
    const names = resourcesOf(template, "AWS::Lambda::Function")
      .map(([, { Properties }]) => Properties["FunctionName"])
      .sort();
    expect(names).toEqual(HANDLERS.map((crate) => `apgl-${crate}`));
    template.resourceCountIs("AWS::Lambda::Alias", HANDLERS.length);
  });

  it("find the state machines by the common prefix of their ARNs", () => {
    const other = templateOf({ prefix: "other" });
    for (const [, { Properties }] of resourcesOf(other, "AWS::Lambda::Function")) {
      expect(JSON.stringify(Properties["Environment"])).toContain(":stateMachine:other");
    }
  });
});

describe("direct messages", () => {
  it.each([
    [true, 2],
    [false, 1],
  ])("with directMessages=%s, %i of the handlers may start notify-person", (on, handlers) => {
    const policies = resourcesOf(templateOf({ directMessages: on }), "AWS::IAM::Policy");
    const mayStart = policies.filter(([, { Properties }]) =>
      JSON.stringify(Properties).includes("stateMachine:apgl-notify-person"),
    );
    expect(mayStart).toHaveLength(handlers);
  });
});

describe("requests", () => {
  it("are authorised by IAM on every route", () => {
    const routes = resourcesOf(template, "AWS::ApiGatewayV2::Route");
    expect(routes.map(([, { Properties }]) => Properties["RouteKey"]).sort()).toEqual([
      "DELETE /contexts/{channelName}",
      "PATCH /contexts/{channelName}/members",
      "POST /contexts",
      "POST /contexts/{channelName}/messages",
      "POST /items/{id}",
      "POST /people/{email}/messages",
    ]);
    for (const [, { Properties }] of routes)
      expect(Properties["AuthorizationType"]).toBe("AWS_IAM");
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

  it("that could not be handled are kept, whether EventBridge or Lambda gives up", () => {
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
  it("arrive in batches in which single messages may fail", () => {
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

  it("stay hidden for longer than a handler may take with all its attempts", () => {
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

describe("the template", () => {
  it("changes only on purpose", () => {
    expect(masked(template)).toMatchSnapshot();
  });

  it.each(["dev", "local"])("has these resources in %s", (environment) => {
    expect(typesOf(templateOf({ environment }))).toMatchSnapshot();
  });
});

import { CfnOutput, Duration, Stack, Validations, type StackProps } from "aws-cdk-lib";
import { HttpApi, HttpMethod, LogGroupLogDestination } from "aws-cdk-lib/aws-apigatewayv2";
import { HttpIamAuthorizer } from "aws-cdk-lib/aws-apigatewayv2-authorizers";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { EventBus, Rule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import { SqsDestination } from "aws-cdk-lib/aws-lambda-destinations";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { Alarms, knownAlarmTopic } from "./alarms.js";
import { FIVE_MINUTES } from "./metrics.js";
import { MpcHandler } from "./mpc-handler.js";
import { anyMessage, inBatches, newQueue, waitingMessage } from "./queue.js";
import { watchAndRelease } from "./releases.js";
import { ServiceLogs } from "./service-logs.js";
import { type Settings } from "./settings.js";

/** The `detail-type` of content item events. */
const CONTENT_ITEM_STATE_CHANGED = "Content Item State Changed";

/** A handler starts its workflows within 10 seconds; that of events starts two groups, each within 8. */
const TIMEOUT_SECONDS = 20;
/** How often a message in the bounty queue is tried before it becomes a dead letter. */
const TRIES = 5;

/**
 * One line for each request: the caller, the route, and why the request was refused or failed. The path is left out: it
 * can contain an e-mail address, which CloudWatch does not mask if its `@` is encoded.
 *
 * Source: "Customizing HTTP API access logs", Amazon API Gateway Developer Guide.
 */
const ACCESS_LOG = {
  requestTime: "$context.requestTime",
  requestId: "$context.requestId",
  routeKey: "$context.routeKey",
  status: "$context.status",
  caller: "$context.identity.userArn",
  error: "$context.error.message",
  integrationError: "$context.integrationErrorMessage",
};

/** The routes of the request handler: path → method. */
const ROUTES: [string, HttpMethod][] = [
  ["/contexts", HttpMethod.POST],
  ["/contexts/{channelName}", HttpMethod.DELETE],
  ["/contexts/{channelName}/members", HttpMethod.PATCH],
  ["/contexts/{channelName}/messages", HttpMethod.POST],
  ["/people/{email}/messages", HttpMethod.POST],
  ["/items/{id}", HttpMethod.POST],
];

export interface MpcHandlersStackProps extends StackProps {
  readonly settings: Settings;
}

/** The MPC service's handlers. They start the workflows for requests, events and bounties. */
export class MpcHandlersStack extends Stack {
  private readonly settings: Settings;
  private readonly alarms?: Alarms;
  private readonly handlers: MpcHandler[] = [];

  constructor(scope: Construct, id: string, props: MpcHandlersStackProps) {
    super(scope, id, props);
    this.settings = props.settings;
    if (this.settings.alarms) {
      const { settings } = this;
      this.alarms = new Alarms(this, "Alarms", {
        settings,
        topic: knownAlarmTopic(this, settings),
      });
    }
    this.requests();
    this.contentItemEvents();
    this.contentBounties();
    watchAndRelease(this, this.settings, this.handlers, this.alarms);
  }

  /** HTTP requests, which the caller signs for IAM. */
  private requests(): void {
    const { settings } = this;
    const handler = this.handler("MpcRequestHandler").mayStart(
      "create-channel",
      "delete-channel",
      "change-channel-members",
      "notify-private-channel",
      "notify-public-channel",
      "notify-person",
      "update-item",
    );
    const api = new HttpApi(this, "Requests", {
      apiName: `${settings.prefix}-mpc-requests`,
      description: "Creates and deletes contexts, changes members, sends messages, updates items",
      defaultAuthorizer: new HttpIamAuthorizer(),
      createDefaultStage: false,
    });
    const integration = new HttpLambdaIntegration("Handler", handler.alias);
    for (const [path, method] of ROUTES) api.addRoutes({ path, methods: [method], integration });
    const accessLogs = new ServiceLogs(
      this,
      "AccessLogs",
      settings,
      `/aws/vendedlogs/apigateway/${settings.prefix}-mpc-requests`,
    );
    api.addStage("Stage", {
      stageName: "$default",
      autoDeploy: true,
      throttle: { rateLimit: 50, burstLimit: 100 },
      accessLogSettings: {
        destination: new LogGroupLogDestination(accessLogs),
        format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
      },
    });
    this.alarms?.add("MpcRequestsFail", {
      metric: api.metricServerError({ period: FIVE_MINUTES, statistic: "Sum" }),
      threshold: 1,
      means: "The MPC request API returned a 5xx: a caller could not start its workflow.",
      todo: "Look at the access log and the log of mpc-request-handler. The caller sends the request again with the same Idempotency-Key.",
    });
    new CfnOutput(this, "MpcRequestsApiId", { value: api.apiId });
    new CfnOutput(this, "MpcRequestsUrl", { value: api.apiEndpoint });
  }

  /** Content item events from EventBridge. An event that Lambda gives up on is kept as a dead letter. */
  private contentItemEvents(): void {
    const { directMessages, mpcEventBusName, mpcEventSource } = this.settings;
    const handler = this.handler("MpcEventHandler", {
      DIRECT_MESSAGES: String(directMessages),
    }).mayStart(
      "notify-private-channel",
      "update-item",
      ...(directMessages ? ["notify-person"] : []),
    );
    const deadLetters = this.deadLetters("EventDeadLetters", "mpc-event-dead-letters");
    Validations.of(deadLetters).acknowledge({
      id: "AwsSolutions::AwsSolutions-SQS3",
      reason: "It is the dead-letter queue of the EventBridge rule and of Lambda's retries",
    });
    handler.alias.configureAsyncInvoke({
      onFailure: new SqsDestination(deadLetters),
      retryAttempts: 2,
      maxEventAge: Duration.hours(6),
    });
    new Rule(this, "ContentItemStateChanged", {
      description: "Tells a content item's private channel that the item's state changed",
      eventBus:
        mpcEventBusName === undefined
          ? undefined
          : EventBus.fromEventBusName(this, "EventBus", mpcEventBusName),
      eventPattern: { source: [mpcEventSource], detailType: [CONTENT_ITEM_STATE_CHANGED] },
      targets: [new LambdaFunction(handler.alias, { deadLetterQueue: deadLetters })],
    });
  }

  /** Content bounty news from a queue. A message that keeps failing is kept as a dead letter. */
  private contentBounties(): void {
    const { bountyChannel, timeScale } = this.settings;
    const handler = this.handler("MpcContentBountyProcessor", {
      BOUNTY_CHANNEL: bountyChannel,
    }).mayStart("notify-public-channel", "update-item");
    const deadLetters = this.deadLetters("BountyDeadLetters", "mpc-content-bounty-dead-letters");
    const bounties = newQueue(this, "Bounties", this.settings, "mpc-content-bounties", {
      // Six times the function's time-out, as AWS advises ("Using Lambda with Amazon SQS").
      visibilityTimeout: Duration.seconds(Math.ceil(6 * TIMEOUT_SECONDS * timeScale)),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: TRIES },
    });
    handler.alias.addEventSource(inBatches(bounties));
    this.alarms?.add("BountiesWait", {
      ...waitingMessage(bounties),
      means: "A content bounty message has been waiting in its queue for more than 15 minutes.",
      todo: "Look at the log of mpc-content-bounty-processor for the reason.",
    });
    this.output("Bounties", bounties);
  }

  /** A queue for messages that no handler could process. An alarm rings as soon as it contains one. */
  private deadLetters(id: string, name: string): Queue {
    const queue = newQueue(this, id, this.settings, name);
    this.alarms?.add(id, {
      ...anyMessage(queue),
      means: `There are dead letters in ${this.settings.prefix}-${name}: messages that started no workflow.`,
      todo: "Run `apgl doctor`, fix the cause that the handler's log names, and send the messages again as described in docs/mpc-handlers.md. They are kept for 14 days.",
    });
    this.output(id, queue);
    return queue;
  }

  private output(name: string, queue: Queue): void {
    new CfnOutput(this, `${name}Url`, { value: queue.queueUrl });
    new CfnOutput(this, `${name}Arn`, { value: queue.queueArn });
  }

  private handler(id: string, environment?: Record<string, string>): MpcHandler {
    const { settings } = this;
    const handler = new MpcHandler(this, id, {
      settings,
      environment,
      timeoutSeconds: TIMEOUT_SECONDS,
    });
    this.handlers.push(handler);
    return handler;
  }
}

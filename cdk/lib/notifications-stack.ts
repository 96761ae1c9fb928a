import { CfnOutput, Stack, Tags, type StackProps } from "aws-cdk-lib";
import { AttributeType, Billing, TableV2, type ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { Rule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { CfnSecret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { removalPolicy, type Settings } from "./settings.js";
import { StepFunction, type SlackAccess } from "./step-function.js";
import { Workflow, workflowFiles } from "./workflow.js";

const METRICS_NAMESPACE = "APGL/Notifications";
/** What it takes of the channels' table to find a channel, by a scan too. */
const FINDS_CHANNELS = ["BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "UpdateItem"];
/** What it takes of the Slack users' table to look somebody up, in the list too. */
const RESOLVES_USERS = ["BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem"];

export interface NotificationsStackProps extends StackProps {
  readonly settings: Settings;
}

/** The whole system: tables, the token, one function a step, one state machine a workflow. */
export class NotificationsStack extends Stack {
  private readonly settings: Settings;

  constructor(scope: Construct, id: string, props: NotificationsStackProps) {
    super(scope, id, props);
    const { settings } = props;
    this.settings = settings;
    Tags.of(this).add("application", "apgl-notifications");

    const profiles = this.profilesTable();
    const slackUsers = this.table("SlackUsers", "slack-users", "email");
    const channels = this.table("Channels", "channels", "name");
    const deliveries = this.table("Deliveries", "deliveries", "deliveryId");
    const pacing = settings.pacing ? this.table("Pacing", "pacing", "limit") : undefined;
    const token = this.emptySecret("SlackApiToken", `${settings.prefix}/slack-api-token`);
    const slack: SlackAccess = { apiUrl: settings.slackApiUrl, token, pacing };
    const slackUsersTable = { SLACK_USERS_TABLE: slackUsers.tableName };
    const channelsTable = { CHANNELS_TABLE: channels.tableName };
    const deliveriesTable = { DELIVERIES_TABLE: deliveries.tableName };

    this.step("CheckRequest");
    this.step("FilterByPreference", {
      USER_PROFILES_TABLE: profiles.tableName,
      DEFAULT_SLACK_PREFERENCE: String(settings.defaultSlackPreference),
    }).mayUse(profiles, "BatchGetItem");
    this.step("ResolveUsers", slackUsersTable)
      .mayCallSlack(slack)
      .mayUse(slackUsers, ...RESOLVES_USERS);
    this.step("FindChannel", channelsTable)
      .mayCallSlack(slack)
      .mayUse(channels, ...FINDS_CHANNELS);
    this.step("EnsureChannel", channelsTable)
      .mayCallSlack(slack)
      .mayUse(channels, ...FINDS_CHANNELS, "DeleteItem");
    this.step("InviteMembers", { ...channelsTable, ...slackUsersTable })
      .mayCallSlack(slack)
      .mayUse(channels, "GetItem", "PutItem", "UpdateItem")
      .mayUse(slackUsers, ...RESOLVES_USERS, "DeleteItem");
    this.step("RemoveMembers", { ...channelsTable, ...slackUsersTable })
      .mayCallSlack(slack)
      .mayUse(channels, "GetItem", "PutItem", "UpdateItem")
      .mayUse(slackUsers, "DeleteItem");
    this.step("PostMessage", { ...channelsTable, ...deliveriesTable }, 60)
      .mayCallSlack(slack)
      .mayUse(channels, "UpdateItem")
      .mayUse(deliveries, "PutItem");
    this.step("ArchiveChannel", channelsTable, 60)
      .mayCallSlack(slack)
      .mayUse(channels, "BatchWriteItem", "DeleteItem", "UpdateItem");
    const metrics = this.step("PublishMetrics", {}, 10).mayPublishMetrics(METRICS_NAMESPACE);

    const workflows = [...workflowFiles()].map(
      ([id, file]) => new Workflow(this, id, { settings, file, steps: this.steps }),
    );
    this.countFailures(workflows, metrics);

    for (const { node, stateMachine } of workflows) {
      new CfnOutput(this, `${node.id}Arn`, { value: stateMachine.stateMachineArn });
    }
    new CfnOutput(this, "UserProfilesTableName", { value: profiles.tableName });
    new CfnOutput(this, "SlackUsersTableName", { value: slackUsers.tableName });
    new CfnOutput(this, "ChannelsTableName", { value: channels.tableName });
    new CfnOutput(this, "DeliveriesTableName", { value: deliveries.tableName });
    if (pacing !== undefined) new CfnOutput(this, "PacingTableName", { value: pacing.tableName });
    new CfnOutput(this, "SlackApiTokenSecretName", { value: token });
  }

  private readonly steps = new Map<string, StepFunction>();

  private step(id: string, environment?: Record<string, string>, timeoutSeconds?: number) {
    const { settings } = this;
    const step = new StepFunction(this, id, { settings, environment, timeoutSeconds });
    this.steps.set(id, step);
    return step;
  }

  private profilesTable(): ITableV2 {
    const existing = this.settings.userProfilesTableName;
    return existing === undefined
      ? this.table("UserProfiles", "user-profiles", "email")
      : TableV2.fromTableName(this, "UserProfiles", existing);
  }

  private table(id: string, name: string, partitionKey: string): TableV2 {
    return new TableV2(this, id, {
      tableName: `${this.settings.prefix}-${name}`,
      partitionKey: { name: partitionKey, type: AttributeType.STRING },
      billing: Billing.onDemand(),
      timeToLiveAttribute: "expiresAt",
      removalPolicy: removalPolicy(this.settings),
    });
  }

  /** A secret without a value: an operator sets the token. The L2 construct would make one up. */
  private emptySecret(id: string, name: string): string {
    const secret = new CfnSecret(this, id, {
      name,
      description: "The bot token of the Slack app APGL-Notifications (xoxb-…)",
    });
    secret.applyRemovalPolicy(removalPolicy(this.settings));
    return name;
  }

  /** What a workflow does not catch, it can't count: EventBridge tells of each such end. */
  private countFailures(workflows: Workflow[], metrics: StepFunction): void {
    new Rule(this, "ExecutionFailed", {
      description: "Counts executions that failed, timed out or were stopped",
      eventPattern: {
        source: ["aws.states"],
        detailType: ["Step Functions Execution Status Change"],
        detail: {
          status: ["FAILED", "TIMED_OUT", "ABORTED"],
          stateMachineArn: workflows.map(({ stateMachine }) => stateMachine.stateMachineArn),
        },
      },
      targets: [new LambdaFunction(metrics.alias)],
    });
  }
}

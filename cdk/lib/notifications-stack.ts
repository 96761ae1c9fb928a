import { CfnOutput, Duration, Stack, Validations, type StackProps } from "aws-cdk-lib";
import type { IAlarm } from "aws-cdk-lib/aws-cloudwatch";
import {
  AttributeType,
  Billing,
  ProjectionType,
  TableEncryptionV2,
  TableV2,
  type Attribute,
  type GlobalSecondaryIndexPropsV2,
  type ITableV2,
} from "aws-cdk-lib/aws-dynamodb";
import { CfnSecret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { Alarms, alarmTopic } from "./alarms.js";
import { NotificationsDashboard } from "./dashboard.js";
import { keyOf } from "./encryption.js";
import { ExecutionWatcher, RUNNING } from "./execution-watcher.js";
import { LogQueries } from "./log-queries.js";
import {
  FIVE_MINUTES,
  logMetric,
  OLDEST_RUNNING_EXECUTION,
  SYSTEM_FAILURES,
  SLACK_REFUSALS,
  TOKEN_REJECTIONS,
  workflowMetric,
} from "./metrics.js";
import { OutcomeRecorder } from "./outcome-recorder.js";
import { anyMessage, waitingMessage } from "./queue.js";
import { watchAndRelease } from "./releases.js";
import { BY_HOUR, ReminderSweep } from "./reminder-sweep.js";
import type { RustFunction } from "./rust-function.js";
import { hasStateMachineAliases, isLocal, removalPolicy, type Settings } from "./settings.js";
import { StepFunction, type SlackAccess } from "./step-function.js";
import { Workflow, workflowFiles } from "./workflow.js";

/**
 * The actions on the channels table that finding a channel needs, including a scan of Slack's channels. Only release
 * 0.1 writes batches: its code runs until a release has replaced it bit by bit, and again after a rollback.
 */
const FINDS_CHANNELS = ["BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "UpdateItem"];
/** Those that a step needs which confirms the channel before it uses it. */
const CONFIRMS_CHANNELS = ["GetItem", "PutItem", "UpdateItem"];
/** The actions on the Slack users table that looking up a user needs, including a scan of Slack's user list. */
const RESOLVES_USERS = ["BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem"];

/** The setting that names an existing table: table id → setting. */
const EXISTING_TABLE = {
  UserProfiles: "userProfilesTableName",
  SlackUsers: "slackUsersTableName",
  Channels: "channelsTableName",
  Deliveries: "deliveriesTableName",
  RateLimits: "rateLimitsTableName",
  Receipts: "receiptsTableName",
  Items: "itemsTableName",
} as const satisfies Record<string, keyof Settings>;

/** The index of the rows of a Slack user. */
const BY_PERSON = "byPerson";

/** How long an execution sleeps on purpose: a sweep starts it ahead of the hour in which something is due. */
const SLEEPS_MINUTES = new Map([
  ["Remind", 75],
  ["Escalate", 75],
]);

type TableId = keyof typeof EXISTING_TABLE;

export interface NotificationsStackProps extends StackProps {
  readonly settings: Settings;
}

/** The whole system: the tables, the token, one function per step and one state machine per workflow. */
export class NotificationsStack extends Stack {
  private readonly settings: Settings;

  constructor(scope: Construct, id: string, props: NotificationsStackProps) {
    super(scope, id, props);
    const { settings } = props;
    this.settings = settings;

    const profiles = this.table("UserProfiles", "user-profiles", "email");
    const slackUsers = this.table("SlackUsers", "slack-users", "email");
    const channels = this.table("Channels", "channels", "name");
    const deliveries = this.table("Deliveries", "deliveries", "deliveryId");
    const rateLimits = settings.rateLimiter
      ? this.table("RateLimits", "rate-limits", "owner", "item")
      : undefined;
    const receipts = this.table("Receipts", "receipts", "id", "item", [
      { indexName: "byChannel", partitionKey: string("channelName"), sortKey: number("startedAt") },
      {
        indexName: RUNNING,
        partitionKey: string("runningWorkflow"),
        sortKey: number("runningSince"),
        projectionType: ProjectionType.KEYS_ONLY,
      },
    ]);
    const items = this.table("Items", "items", "itemId", "row", [
      {
        indexName: BY_HOUR,
        partitionKey: string("lookHour"),
        projectionType: ProjectionType.KEYS_ONLY,
      },
      {
        indexName: BY_PERSON,
        partitionKey: string("userId"),
        projectionType: ProjectionType.KEYS_ONLY,
      },
    ]);
    const token = this.tokenSecret();
    const slack: SlackAccess = { apiUrl: settings.slackApiUrl, token, rateLimits };
    const slackUsersTable = {
      SLACK_USERS_TABLE: slackUsers.tableName,
      PERSON_TRUST_SECONDS: String(settings.personTrustSeconds),
    };
    const channelsTable = {
      CHANNELS_TABLE: channels.tableName,
      CHANNEL_TRUST_SECONDS: String(settings.channelTrustSeconds),
    };
    const deliveriesTable = { DELIVERIES_TABLE: deliveries.tableName };
    const itemsTable = { ITEMS_TABLE: items.tableName };
    const plans = {
      ...itemsTable,
      REMINDERS: settings.reminders,
      // A test can set the calendar of a local stack, in the items' table.
      ...(isLocal(settings) ? { CALENDAR: "stored" } : {}),
    };
    const readsCalendar = isLocal(settings) ? ["GetItem"] : [];

    this.step("CheckRequest", { CHANNEL_NAME_PATTERN: settings.channelNamePattern ?? "" });
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
    this.step("EnsureChannel", {
      ...channelsTable,
      ALLOW_EXTERNALLY_SHARED_CHANNELS: String(settings.allowExternallySharedChannels),
    })
      .mayCallSlack(slack)
      .mayUse(channels, ...FINDS_CHANNELS, "DeleteItem");
    this.step("InviteMembers", { ...channelsTable, ...slackUsersTable })
      .mayCallSlack(slack)
      .mayUse(channels, "BatchGetItem", ...CONFIRMS_CHANNELS)
      .mayUse(slackUsers, ...RESOLVES_USERS, "DeleteItem");
    this.step("RemoveMembers", { ...channelsTable, ...slackUsersTable })
      .mayCallSlack(slack)
      .mayUse(channels, ...CONFIRMS_CHANNELS)
      .mayUse(slackUsers, ...RESOLVES_USERS, "DeleteItem");
    this.step("OpenConversation", slackUsersTable)
      .mayCallSlack(slack)
      .mayUse(slackUsers, "BatchGetItem", "GetItem", "PutItem", "UpdateItem");
    this.step("PostMessage", { ...channelsTable, ...deliveriesTable }, 60)
      .mayCallSlack(slack)
      .mayUse(channels, ...CONFIRMS_CHANNELS)
      .mayUse(deliveries, "PutItem", "UpdateItem");
    this.step("FindEscalation", plans).mayUse(items, "GetItem");
    this.step("SendEscalation", { ...plans, ...channelsTable, ...deliveriesTable }, 60)
      .mayCallSlack(slack)
      .mayUse(channels, ...CONFIRMS_CHANNELS)
      .mayUse(deliveries, "PutItem")
      .mayUse(items, "GetItem", "PutItem", "Query");
    this.step("RecordItem", itemsTable).mayUse(items, "DeleteItem", "PutItem", "Query");
    this.step("PlanReminders", { ...plans, SLACK_USERS_TABLE: slackUsers.tableName })
      .mayUse(items, "GetItem", "PutItem", "Query")
      .mayUse(slackUsers, "BatchGetItem");
    this.step("FindReminder", plans)
      .mayUse(items, "BatchGetItem", ...readsCalendar)
      .mayQuery(items, BY_PERSON);
    this.step(
      "SendReminder",
      { ...plans, ...channelsTable, ...deliveriesTable, SLACK_USERS_TABLE: slackUsers.tableName },
      60,
    )
      .mayCallSlack(slack)
      .mayUse(deliveries, "PutItem")
      .mayUse(items, "BatchGetItem", "GetItem", "PutItem")
      .mayQuery(items, BY_PERSON)
      .mayUse(slackUsers, "BatchGetItem");
    this.step("UpdateCard", { ...channelsTable, ...deliveriesTable, ...itemsTable }, 60)
      .mayCallSlack(slack)
      .mayUse(channels, ...CONFIRMS_CHANNELS)
      .mayUse(deliveries, "PutItem")
      .mayUse(items, "GetItem", "PutItem");
    this.step("ArchiveChannel", channelsTable, 60)
      .mayCallSlack(slack)
      .mayUse(channels, ...CONFIRMS_CHANNELS, "BatchWriteItem", "DeleteItem");
    // Executions of release 0.1 still call it, and a release replaces its code bit by bit.
    this.step("PublishMetrics", {}, 10).mayPublishMetrics();

    const workflows = [...workflowFiles()].map(
      ([id, file]) => new Workflow(this, id, { settings, file, steps: this.steps }),
    );
    const recorder = new OutcomeRecorder(this, "RecordOutcome", { settings });
    recorder.records(workflows, receipts, rateLimits);
    const watcher = new ExecutionWatcher(this, "WatchExecutions", { settings }).watches(
      workflows.map(({ stateMachineName }) => stateMachineName),
      receipts,
      recorder,
    );
    const sweep = new ReminderSweep(this, "SweepReminders", {
      settings,
      environment: { ...plans, SLACK_USERS_TABLE: slackUsers.tableName },
    });
    sweep
      .mayUse(items, "BatchGetItem", "GetItem", "PutItem", "Scan")
      .mayUse(slackUsers, "BatchGetItem")
      .mayQuery(items, BY_HOUR)
      .mayStart("remind", "escalate");
    this.operate([...this.steps.values(), recorder, watcher, sweep], workflows, recorder, sweep);

    new CfnOutput(this, "UserProfilesTableName", { value: profiles.tableName });
    new CfnOutput(this, "SlackUsersTableName", { value: slackUsers.tableName });
    new CfnOutput(this, "ChannelsTableName", { value: channels.tableName });
    new CfnOutput(this, "DeliveriesTableName", { value: deliveries.tableName });
    if (rateLimits !== undefined) {
      new CfnOutput(this, "RateLimitsTableName", { value: rateLimits.tableName });
    }
    new CfnOutput(this, "ReceiptsTableName", { value: receipts.tableName });
    new CfnOutput(this, "ItemsTableName", { value: items.tableName });
    if (this.settings.settledEventBusName !== undefined) {
      new CfnOutput(this, "SettledEventBusName", { value: this.settings.settledEventBusName });
    }
    new CfnOutput(this, "OutcomeDeadLettersUrl", { value: recorder.deadLetters.queueUrl });
    new CfnOutput(this, "SlackApiTokenSecretName", { value: token });
  }

  private readonly steps = new Map<string, StepFunction>();

  private step(id: string, environment?: Record<string, string>, timeoutSeconds?: number) {
    const { settings } = this;
    const step = new StepFunction(this, id, { settings, environment, timeoutSeconds });
    this.steps.set(id, step);
    return step;
  }

  /** A new table, or the existing one that the settings name instead. */
  private table(
    id: TableId,
    name: string,
    partitionKey: string,
    sortKey?: string,
    globalSecondaryIndexes?: GlobalSecondaryIndexPropsV2[],
  ): ITableV2 {
    const { settings } = this;
    const existing = settings[EXISTING_TABLE[id]];
    if (existing !== undefined) return TableV2.fromTableName(this, id, existing);
    const key = keyOf(this, settings);
    const awsKey = settings.keepData ? TableEncryptionV2.awsManagedKey() : undefined;
    return new TableV2(this, id, {
      tableName: `${settings.prefix}-${name}`,
      partitionKey: string(partitionKey),
      sortKey: sortKey === undefined ? undefined : string(sortKey),
      globalSecondaryIndexes,
      billing: Billing.onDemand(),
      timeToLiveAttribute: "expiresAt",
      encryption: key === undefined ? awsKey : TableEncryptionV2.customerManagedKey(key),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: settings.keepData },
      deletionProtection: settings.keepData,
      removalPolicy: removalPolicy(settings),
    });
  }

  /** A secret without a value: an operator sets the token. The L2 construct would generate a value. */
  private tokenSecret(): string {
    const { settings } = this;
    if (settings.slackTokenSecretName !== undefined) return settings.slackTokenSecretName;
    const name = `${settings.prefix}/slack-api-token`;
    const secret = new CfnSecret(this, "SlackApiToken", {
      name,
      description: "The bot token of the Slack app APGL-Notifications (xoxb-…)",
      kmsKeyId: keyOf(this, settings)?.keyArn,
    });
    secret.applyRemovalPolicy(removalPolicy(settings));
    Validations.of(secret).acknowledge({
      id: "AwsSolutions::AwsSolutions-SMG4",
      reason:
        "Slack issues the token to a person: docs/rotating-the-token.md describes how to replace it",
    });
    return name;
  }

  /** Adds what releases and operators need: alarms, gradual releases, saved queries and the dashboard. */
  private operate(
    functions: RustFunction[],
    workflows: Workflow[],
    recorder: OutcomeRecorder,
    sweep: ReminderSweep,
  ): void {
    const { settings } = this;
    const alarms = settings.alarms
      ? new Alarms(this, "Alarms", { settings, topic: alarmTopic(this, settings) })
      : undefined;
    if (alarms !== undefined) {
      this.watchSlack(alarms);
      this.watchTheWatcher(alarms, workflows);
      watchRecorder(alarms, recorder);
      watchSweep(alarms, sweep);
    }
    watchAndRelease(this, settings, functions, alarms);
    for (const workflow of workflows) {
      const failures = alarms === undefined ? [] : watchWorkflow(alarms, workflow, settings);
      const arn = hasStateMachineAliases(settings)
        ? workflow.release(failures)
        : workflow.stateMachine.stateMachineArn;
      new CfnOutput(this, `${workflow.node.id}Arn`, { value: arn });
    }
    // The local stack has no saved queries.
    if (!isLocal(settings)) {
      new LogQueries(this, "LogQueries", {
        settings,
        functions: functions.map(({ logs }) => logs),
        workflows: workflows.map(({ logs }) => logs),
      });
    }
    new NotificationsDashboard(this, "Dashboard", {
      settings,
      workflows,
      functions,
      alarms: alarms?.all ?? [],
    });
  }

  /** The watcher publishes every five minutes, even if nothing runs. Missing data means that it does not run. */
  private watchTheWatcher(alarms: Alarms, workflows: Workflow[]): void {
    const [any] = workflows;
    if (any === undefined) return;
    alarms.add("WatchExecutionsSilent", {
      metric: workflowMetric(OLDEST_RUNNING_EXECUTION, any.stateMachineName, {
        statistic: "SampleCount",
      }),
      threshold: 1,
      periods: 3,
      whenSilent: true,
      means:
        "The age of running executions has not been measured for 15 minutes. This is normal after the first deployment, until the first measurement.",
      todo: "Look at the rule that calls WatchExecutions, which must exist and be enabled, and at the function's log. Until this is fixed, no alarm rings for old executions.",
    });
  }

  private watchSlack(alarms: Alarms): void {
    const { settings } = this;
    alarms.add("TokenRejected", {
      metric: logMetric(settings, TOKEN_REJECTIONS, Duration.minutes(1)),
      threshold: 1,
      means:
        "Slack does not accept the bot token, and nothing can be sent; or the Slack app lacks a scope, and what needs it can't be sent.",
      todo: "Run `apgl doctor`. Store a valid token, or install the app again with the scopes of slack/manifest.json. Then `apgl redrive` the failed executions.",
    });
    alarms.add("SlackRefusals", {
      metric: logMetric(settings, SLACK_REFUSALS),
      threshold: settings.slackRefusalsThreshold,
      means: `Slack rate-limited ${String(settings.slackRefusalsThreshold)} or more calls within five minutes. Nothing is lost: the executions wait.`,
      todo: 'Run the query "slack limits". If it continues, find out what else uses the app\'s limits and whether the rate limiter is on.',
    });
  }
}

const string = (name: string): Attribute => ({ name, type: AttributeType.STRING });
const number = (name: string): Attribute => ({ name, type: AttributeType.NUMBER });

/** Adds the alarms for status changes that are late or could not be recorded. */
function watchRecorder(alarms: Alarms, { deadLetters, queue }: OutcomeRecorder): void {
  alarms.add("OutcomeDeadLetters", {
    ...anyMessage(deadLetters),
    means:
      "Status changes of executions could not be recorded: their receipts are missing or say RUNNING.",
    todo: "Look at the log of record-outcome for the cause. Fix it, and move the dead letters back to their queue with `aws sqs start-message-move-task`. They are kept for 14 days.",
  });
  alarms.add("OutcomesWait", {
    ...waitingMessage(queue),
    means:
      "A status change of an execution has been waiting for more than 15 minutes to be recorded.",
    todo: "Look at the log of record-outcome for the reason.",
  });
}

/** Adds the alarm for a sweep that does not run. It runs every hour, even if nothing is due. */
function watchSweep(alarms: Alarms, { sweeps }: ReminderSweep): void {
  alarms.add("SweepRemindersSilent", {
    metric: sweeps,
    threshold: 1,
    periods: 3,
    whenSilent: true,
    means:
      "No hour has been swept for three hours. This is normal after the first deployment, until the first sweep.",
    todo: "Look at the schedule that calls SweepReminders, which must exist and be enabled, and at the function's log. Until this is fixed, nobody is reminded, and nothing is escalated; the next sweep makes up for it.",
  });
}

/**
 * Adds the alarms for failed, timed-out and old executions. Returns those that roll a release back: a request or
 * people in Slack can't ring them.
 */
function watchWorkflow(alarms: Alarms, workflow: Workflow, settings: Settings): IAlarm[] {
  const { node, stateMachine, stateMachineName } = workflow;
  const minutes = settings.oldestExecutionMinutes + (SLEEPS_MINUTES.get(node.id) ?? 0);
  const todo = `Run \`apgl list --failed --workflow ${stateMachineName.slice(settings.prefix.length + 1)}\` and \`apgl inspect\` one of the executions. It says what to do.`;
  alarms.add(`${node.id}Old`, {
    metric: workflowMetric(OLDEST_RUNNING_EXECUTION, stateMachineName, { statistic: "Maximum" }),
    threshold: 60 * minutes,
    means: `An execution of ${stateMachineName} has been running for more than ${String(minutes)} minutes. It is most likely waiting for Slack's rate limits.`,
    todo: 'Look at it with `apgl inspect`, and at "What Slack refuses" on the dashboard. It times out after 24 hours.',
  });
  alarms.add(`${node.id}Failed`, {
    metric: stateMachine.metricFailed({ period: FIVE_MINUTES }),
    threshold: 1,
    means: `An execution of ${stateMachineName} failed: its request was not carried out, or only in part.`,
    todo,
  });
  return [
    alarms.add(`${node.id}SystemFailed`, {
      metric: workflowMetric(SYSTEM_FAILURES, stateMachineName),
      threshold: 1,
      means: `An execution of ${stateMachineName} failed, and neither its request nor what people did in Slack is the cause.`,
      todo,
    }),
    alarms.add(`${node.id}TimedOut`, {
      metric: stateMachine.metricTimedOut({ period: FIVE_MINUTES }),
      threshold: 1,
      means: `An execution of ${stateMachineName} timed out after 24 hours.`,
      todo,
    }),
  ];
}

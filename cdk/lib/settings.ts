import * as path from "node:path";
import type { Node } from "constructs";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import { RemovalPolicy } from "aws-cdk-lib";
import { brokenReminderRule } from "./reminder-settings.js";
import { ENVIRONMENTS, type EnvironmentName } from "./environments.js";

/** The settings of a deployment. Each is a CDK context value of the same name. */
export interface Settings {
  /** Selects the defaults of settings that are not set: see `ENVIRONMENTS`. */
  readonly environment: EnvironmentName;
  /** The prefix of every name. */
  readonly prefix: string;
  /** The base URL of the Slack Web API. */
  readonly slackApiUrl: string;
  /** Existing tables to use instead of those that the stack creates. */
  readonly userProfilesTableName?: string;
  readonly slackUsersTableName?: string;
  readonly channelsTableName?: string;
  readonly deliveriesTableName?: string;
  readonly rateLimitsTableName?: string;
  readonly receiptsTableName?: string;
  readonly itemsTableName?: string;
  /** An existing secret that holds the Slack token, instead of one that the stack creates. */
  readonly slackTokenSecretName?: string;
  /** An existing KMS key for the tables, the secret, the logs and the alarms' topic. */
  readonly kmsKeyArn?: string;
  /** The preference of a profile that does not say whether it wants Slack notifications. */
  readonly defaultSlackPreference: boolean;
  readonly architecture: Architecture;
  /** The folder with the built functions: `<function>/bootstrap`. */
  readonly functionsDir: string;
  /** Whether data survives mistakes: point-in-time recovery, deletion protection, kept when the stack is deleted. */
  readonly keepData: boolean;
  readonly logRetentionDays: RetentionDays;
  /** Whether the state machines log each state's input and output, which contain messages and addresses. */
  readonly logExecutionData: boolean;
  /** Whether executions reserve their share of Slack's rate limits before they call Slack. */
  readonly rateLimiter: boolean;
  /** How long what Slack has confirmed of a channel is trusted before Slack is asked again, in seconds. */
  readonly channelTrustSeconds: number;
  /** How long the Slack id of an e-mail address is trusted, in seconds. */
  readonly personTrustSeconds: number;
  /** Whether a private notification may go to a channel that another organisation can read. */
  readonly allowExternallySharedChannels: boolean;
  /** A regular expression that the whole name of every requested channel must match. */
  readonly channelNamePattern?: string;
  /** How long one of Slack's seconds lasts, in seconds. Below 1 only on a local stack with accelerated time. */
  readonly timeScale: number;
  readonly alarms: boolean;
  /** The address that receives alarms. AWS first sends it a request to confirm the subscription. */
  readonly alarmEmail?: string;
  /** An existing topic for the alarms, instead of one that the stack creates. */
  readonly alarmTopicArn?: string;
  /** The number of calls rate-limited by Slack within five minutes at which an alarm rings. */
  readonly slackRefusalsThreshold: number;
  /** The age of a running execution at which an alarm rings, in minutes. */
  readonly oldestExecutionMinutes: number;
  /** Whether a release gets a part of the traffic first, and is rolled back if an alarm rings. */
  readonly gradualShift: boolean;
  /** The event bus that is told how each execution ended. Without it, nobody is told. */
  readonly settledEventBusName?: string;
  /** Whether the MPC service's handlers are deployed, in a stack of their own. */
  readonly mpcHandlers: boolean;
  /** The event bus of the content item events. The default is the account's default bus. */
  readonly mpcEventBusName?: string;
  /** The source of the content item events. */
  readonly mpcEventSource: string;
  /** The public channel for content bounty news. */
  readonly bountyChannel: string;
  /** Whether those who must act on a content item also get a direct message. */
  readonly directMessages: boolean;
  /** When people are reminded of items that wait for them, as JSON: see docs/reminders.md. */
  readonly reminders: string;
}

const DEFAULT_FUNCTIONS_DIR = path.join(import.meta.dirname, "../../target/lambda");

const TABLE_NAME = {
  pattern: /^[a-zA-Z0-9_.-]{3,255}$/,
  rule: "must be a DynamoDB table's name",
};

const EVENT_BUS_NAME = {
  pattern: /^[a-zA-Z0-9_./-]{1,256}$/,
  rule: "must be an event bus's name",
};

/** Reads the settings from the context. Values from the command line are strings; those from cdk.json have types. */
export function readSettings(node: Node): Settings {
  const context = (name: string): unknown => node.tryGetContext(name) as unknown;
  const given = (name: string, is: Rule) =>
    optional(context(name), (value) => text(name, value, is));
  const environment = environmentName(context("environment") ?? "prod");
  const defaults = ENVIRONMENTS[environment];
  const flagOf = (name: string, byDefault: boolean) => flag(name, context(name) ?? byDefault);

  const prefix = text("prefix", context("prefix") ?? defaults.prefix, {
    pattern: /^[a-z][a-z0-9-]{0,19}$/,
    rule: "must be 1 to 20 lower-case letters, digits and hyphens, and start with a letter",
  });
  const settings: Settings = {
    environment,
    prefix,
    slackApiUrl: slackApiUrl(context("slackApiUrl") ?? "https://slack.com/api"),
    userProfilesTableName: given("userProfilesTableName", TABLE_NAME),
    slackUsersTableName: given("slackUsersTableName", TABLE_NAME),
    channelsTableName: given("channelsTableName", TABLE_NAME),
    deliveriesTableName: given("deliveriesTableName", TABLE_NAME),
    rateLimitsTableName: given("rateLimitsTableName", TABLE_NAME),
    receiptsTableName: given("receiptsTableName", TABLE_NAME),
    itemsTableName: given("itemsTableName", TABLE_NAME),
    slackTokenSecretName: given("slackTokenSecretName", {
      pattern: /^[a-zA-Z0-9/_+=.@-]{1,512}$/,
      rule: "must be a secret's name, not its ARN",
    }),
    kmsKeyArn: given("kmsKeyArn", {
      pattern:
        /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
      rule: "must be a KMS key's ARN, not an alias",
    }),
    defaultSlackPreference: flagOf("defaultSlackPreference", true),
    architecture: oneOf("architecture", context("architecture") ?? "arm64", {
      arm64: Architecture.ARM_64,
      x86_64: Architecture.X86_64,
    }),
    functionsDir: text("functionsDir", context("functionsDir") ?? DEFAULT_FUNCTIONS_DIR, {
      pattern: /./,
      rule: "must be a folder",
    }),
    keepData: flagOf("keepData", defaults.keepData),
    logRetentionDays: logRetention(context("logRetentionDays") ?? defaults.logRetentionDays),
    logExecutionData: flagOf("logExecutionData", false),
    rateLimiter: flagOf("rateLimiter", true),
    channelTrustSeconds: seconds(
      "channelTrustSeconds",
      context("channelTrustSeconds") ?? 900,
      86_400,
    ),
    personTrustSeconds: seconds(
      "personTrustSeconds",
      context("personTrustSeconds") ?? 86_400,
      2_592_000,
    ),
    allowExternallySharedChannels: flagOf("allowExternallySharedChannels", false),
    channelNamePattern: optional(context("channelNamePattern"), (value) =>
      pattern("channelNamePattern", value),
    ),
    timeScale: timeScale(context("timeScale") ?? 1, environment === "local"),
    alarms: flagOf("alarms", defaults.alarms),
    alarmEmail: given("alarmEmail", {
      pattern: /^[^\s@]+@[^\s@]+\.[^\s@]+$/,
      rule: "must be an e-mail address",
    }),
    alarmTopicArn: given("alarmTopicArn", {
      pattern: /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]{1,256}$/,
      rule: "must be the ARN of an SNS topic that is not FIFO",
    }),
    slackRefusalsThreshold: count(
      "slackRefusalsThreshold",
      context("slackRefusalsThreshold") ?? 20,
    ),
    oldestExecutionMinutes: count(
      "oldestExecutionMinutes",
      context("oldestExecutionMinutes") ?? 240,
    ),
    gradualShift: flagOf("gradualShift", defaults.gradualShift),
    settledEventBusName: given("settledEventBusName", EVENT_BUS_NAME),
    mpcHandlers: flagOf("mpcHandlers", true),
    mpcEventBusName: given("mpcEventBusName", EVENT_BUS_NAME),
    mpcEventSource: text("mpcEventSource", context("mpcEventSource") ?? `${prefix}.mpc`, {
      pattern: /^(?!aws\.)[a-zA-Z0-9_.-]{1,256}$/,
      rule: "must be 1 to 256 letters, digits, dots, hyphens and underscores, and not start with aws.",
    }),
    bountyChannel: text("bountyChannel", context("bountyChannel") ?? "content-bounties", {
      // As the contract's `ChannelName`: the channel exists, so its name may be in any script.
      pattern:
        /^(?=.*[\p{Alphabetic}\p{N}])(?:[a-z0-9_-]|[^\p{ASCII}\s\p{Cc}\p{Cf}\p{Cs}\p{CWL}\p{VS}]){1,80}$/u,
      rule: "must be a channel's name: 1 to 80 lower-case letters of any script, digits, - and _",
    }),
    directMessages: flagOf("directMessages", true),
    reminders: reminders(context("reminders") ?? {}),
  };
  checkNames(node, settings);
  checkTogether(settings);
  return settings;
}

/**
 * With `keepData`, resources that hold data or logs are kept when their stack is deleted. They are not kept
 * after a failed creation, because they would block the next one. Tables with deletion protection stay even
 * then: docs/deploying.md describes how to delete them.
 */
export function removalPolicy({ keepData }: Settings): RemovalPolicy {
  return keepData ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY;
}

/** The local stack lacks some AWS features and uses HTTP. */
export function isLocal({ environment }: Settings): boolean {
  return environment === "local";
}

/** The local stack supports neither versions nor aliases of state machines. */
export function hasStateMachineAliases(settings: Settings): boolean {
  return !isLocal(settings);
}

/** Rejects unknown names: a misspelt setting would be ignored. CDK's own names contain `:`, `@` or `-`. */
function checkNames(node: Node, settings: Settings): void {
  const known = Object.keys(settings);
  for (const name of Object.keys(node.getAllContext() as Record<string, unknown>)) {
    if (/^\w+$/.test(name) && !known.includes(name)) {
      fail(name, `is unknown: the known names are ${known.join(", ")}`);
    }
  }
}

function checkTogether(settings: Settings): void {
  const { alarms, alarmEmail, alarmTopicArn, gradualShift, rateLimiter, rateLimitsTableName } =
    settings;
  const { bountyChannel, channelNamePattern, mpcHandlers, prefix, settledEventBusName } = settings;
  const mayUse = new RegExp(`^(?:${channelNamePattern ?? ".*"})$`, "u");
  if (mpcHandlers && !mayUse.test(bountyChannel)) {
    fail("bountyChannel", "must be a name that matches channelNamePattern");
  }
  if (settledEventBusName !== undefined && prefix === "aws") {
    fail("settledEventBusName", "must be left out if prefix is aws: no source may start with aws.");
  }
  if (gradualShift && !alarms) {
    fail("gradualShift", "must be false if alarms is false: nothing would roll a release back");
  }
  if (gradualShift && isLocal(settings)) {
    fail("gradualShift", "must be false if environment is local: that stack has no CodeDeploy");
  }
  if (alarmEmail !== undefined && alarmTopicArn !== undefined) {
    fail("alarmEmail", "must be left out if alarmTopicArn is set: subscribe to that topic");
  }
  if (!alarms && (alarmEmail ?? alarmTopicArn) !== undefined) {
    fail("alarms", "must be true if alarmEmail or alarmTopicArn is set");
  }
  if (!rateLimiter && rateLimitsTableName !== undefined) {
    fail("rateLimiter", "must be true if rateLimitsTableName is set");
  }
}

interface Rule {
  readonly pattern: RegExp;
  readonly rule: string;
}

/** A context value breaks a rule. The person who deploys must change it. */
export class SettingError extends Error {
  constructor(name: string, rule: string) {
    super(`context value ${name} ${rule}`);
  }
}

function fail(name: string, rule: string): never {
  throw new SettingError(name, rule);
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

function text(name: string, value: unknown, is: Rule): string {
  return typeof value === "string" && is.pattern.test(value) ? value : fail(name, is.rule);
}

function flag(name: string, value: unknown): boolean {
  if (value === true || value === "true") return true;
  if (value === false || value === "false") return false;
  return fail(name, "must be true or false");
}

function count(name: string, value: unknown): number {
  const number = wholeNumber(value);
  return number > 0 ? number : fail(name, "must be a whole number above 0");
}

function seconds(name: string, value: unknown, longest: number): number {
  const number = wholeNumber(value);
  const fits = number >= 0 && number <= longest;
  return fits
    ? number
    : fail(name, `must be a whole number of seconds, at most ${String(longest)}`);
}

/** `NaN`, which no bound admits, if it is none. */
function wholeNumber(value: unknown): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) ? number : NaN;
}

/**
 * The parts of regular expressions that JavaScript and the functions (Rust's regex-lite) read alike, and that a channel's
 * name can need. A group is not repeated with numbers, so that no pattern becomes too large for regex-lite.
 */
const LITERAL = String.raw`[^\s\p{Cc}\p{Cs}\\^$.|?*+()[\]{}]`;
const IN_CLASS = String.raw`(?:\\[dw]|[^\s\p{Cc}\p{Cs}\\^[\]&~-](?:-[^\s\p{Cc}\p{Cs}\\^[\]&~-])?)`;
const PLAIN_PATTERN = new RegExp(
  [
    "^(?:",
    [
      LITERAL,
      String.raw`\\[dw]`,
      String.raw`[.^$|)*+?]`,
      String.raw`\((?:\?:|(?!\?))`,
      String.raw`\[\^?(?:-?${IN_CLASS}+-?|-)\]`,
      String.raw`(?<!\))\{\d{1,2}(?:,\d{0,2})?\}`,
    ].join("|"),
    ")+$",
  ].join(""),
  "u",
);
const LONGEST_PATTERN = 200;
/** A function's environment has at most 4 KB. */
const LONGEST_REMINDERS = 2_000;
/** regex-lite reads at most 50 groups in one another. */
const MOST_GROUPS = 20;

function pattern(name: string, value: unknown): string {
  const rule =
    "must be a regular expression of plain characters, . ^ $, \\d, \\w, classes such as [a-z], groups, alternatives and repetitions, those of groups without {n}";
  const isPlain =
    typeof value === "string" &&
    value.length <= LONGEST_PATTERN &&
    value.split("(").length <= 1 + MOST_GROUPS &&
    PLAIN_PATTERN.test(value);
  try {
    if (isPlain) return new RegExp(value, "u").source;
  } catch {
    // It is no regular expression.
  }
  return fail(name, rule);
}

function oneOf<T>(name: string, value: unknown, known: Record<string, T>): T {
  const found = typeof value === "string" && Object.hasOwn(known, value) ? known[value] : undefined;
  return found ?? fail(name, `must be one of ${Object.keys(known).join(", ")}`);
}

/** An object in cdk.json, or JSON on the command line. An environment variable of a function holds it. */
function reminders(value: unknown): string {
  const rule = `must be settings of reminders as JSON, at most ${String(LONGEST_REMINDERS)} characters`;
  let settings = value;
  try {
    if (typeof value === "string") settings = JSON.parse(value);
  } catch {
    return fail("reminders", rule);
  }
  const broken = brokenReminderRule(settings);
  if (broken !== undefined) {
    const { place } = broken;
    return fail(`reminders${place}`, place === "" ? rule : broken.rule);
  }
  const json = JSON.stringify(settings);
  return json.length <= LONGEST_REMINDERS ? json : fail("reminders", rule);
}

function environmentName(value: unknown): EnvironmentName {
  return oneOf("environment", value, { local: "local", dev: "dev", prod: "prod" });
}

/** The token is sent to this URL, so plain HTTP is allowed only within this machine. */
function slackApiUrl(value: unknown): string {
  const rule = "must be an https URL, or an http URL of this machine, without a query";
  if (typeof value !== "string" || !URL.canParse(value)) return fail("slackApiUrl", rule);
  const url = new URL(value);
  const isLoopback = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  const isSafe = url.protocol === "https:" || (url.protocol === "http:" && isLoopback);
  return isSafe && url.search === "" && url.hash === "" ? value : fail("slackApiUrl", rule);
}

function timeScale(value: unknown, local: boolean): number {
  const scale = Number(value);
  if (scale === 1) return scale;
  if (!local) return fail("timeScale", "must be 1 where environment is not local");
  return scale > 0 && scale < 1 ? scale : fail("timeScale", "must be a number above 0, at most 1");
}

function logRetention(value: unknown): RetentionDays {
  const known = Object.values(RetentionDays).filter((days) => typeof days === "number");
  const found = known.find((days) => String(days) === String(value));
  return found ?? fail("logRetentionDays", "must be a retention that CloudWatch Logs has");
}

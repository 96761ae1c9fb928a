import * as path from "node:path";
import type { Node } from "constructs";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import { RemovalPolicy } from "aws-cdk-lib";

/** What a deployment may differ in. Each is a CDK context value of the same name. */
export interface Settings {
  /** What every name starts with. */
  readonly prefix: string;
  /** Where the Slack Web API is. */
  readonly slackApiUrl: string;
  /** An existing table of user profiles to read, instead of one that the stack makes. */
  readonly userProfilesTableName?: string;
  /** What counts for a profile that does not say whether Slack notifications are wanted. */
  readonly defaultSlackPreference: boolean;
  readonly architecture: Architecture;
  /** Deploys to the local stack: no bootstrap roles, and nothing is kept when the stack goes. */
  readonly local: boolean;
  /** Where the built functions are: `<function>/bootstrap`. */
  readonly functionsDir: string;
  readonly logRetention: RetentionDays;
  /** Whether executions share out Slack's limits before they meet them. */
  readonly pacing: boolean;
  /** How long one of Slack's seconds lasts, in seconds: below 1 only on a local stack that runs fast. */
  readonly timeScale: number;
  /** Whether the MPC service's handlers are deployed, in a stack of their own. */
  readonly mpcHandlers: boolean;
  /** The event bus that content items' events come from: the account's default bus if it is left out. */
  readonly mpcEventBusName?: string;
  /** The source of those events. */
  readonly mpcEventSource: string;
  /** The public channel for news of content bounties. */
  readonly bountyChannel: string;
}

const DEFAULT_FUNCTIONS_DIR = path.join(import.meta.dirname, "../../target/lambda");

/** Reads the context. Values from the command line are strings, those from cdk.json have types. */
export function readSettings(node: Node): Settings {
  const context = (name: string): unknown => node.tryGetContext(name) as unknown;
  const prefix = text("prefix", context("prefix") ?? "apgl", {
    pattern: /^[a-z][a-z0-9-]{0,19}$/,
    rule: "must be 1 to 20 lower-case letters, digits and hyphens, and start with a letter",
  });
  return {
    prefix,
    slackApiUrl: slackApiUrl(context("slackApiUrl") ?? "https://slack.com/api"),
    userProfilesTableName: optional(context("userProfilesTableName"), (value) =>
      text("userProfilesTableName", value, {
        pattern: /^[a-zA-Z0-9_.-]{3,255}$/,
        rule: "must be a DynamoDB table's name",
      }),
    ),
    defaultSlackPreference: flag(
      "defaultSlackPreference",
      context("defaultSlackPreference") ?? true,
    ),
    architecture: oneOf("architecture", context("architecture") ?? "arm64", {
      arm64: Architecture.ARM_64,
      x86_64: Architecture.X86_64,
    }),
    local: flag("local", context("local") ?? false),
    functionsDir: text("functionsDir", context("functionsDir") ?? DEFAULT_FUNCTIONS_DIR, {
      pattern: /./,
      rule: "must be a folder",
    }),
    logRetention: logRetention(context("logRetentionDays") ?? 30),
    pacing: flag("pacing", context("pacing") ?? true),
    timeScale: timeScale(context("timeScale") ?? 1, flag("local", context("local") ?? false)),
    mpcHandlers: flag("mpcHandlers", context("mpcHandlers") ?? true),
    mpcEventBusName: optional(context("mpcEventBusName"), (value) =>
      text("mpcEventBusName", value, {
        pattern: /^[a-zA-Z0-9_./-]{1,256}$/,
        rule: "must be an event bus's name",
      }),
    ),
    mpcEventSource: text("mpcEventSource", context("mpcEventSource") ?? `${prefix}.mpc`, {
      pattern: /^(?!aws\.)[a-zA-Z0-9_.-]{1,256}$/,
      rule: "must be 1 to 256 letters, digits, dots, hyphens and underscores, and not start with aws.",
    }),
    bountyChannel: text("bountyChannel", context("bountyChannel") ?? "content-bounties", {
      pattern: /^(?=.*[a-z0-9])[a-z0-9_-]{1,80}$/,
      rule: "must be a channel's name: 1 to 80 lower-case letters, digits, - and _",
    }),
  };
}

/**
 * What holds data or tells what happened is kept when its stack goes; but not after a creation that
 * failed, which would stand in the way of the next one.
 */
export function removalPolicy({ local }: Settings): RemovalPolicy {
  return local ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;
}

function fail(name: string, rule: string): never {
  throw new Error(`context value ${name} ${rule}`);
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

function text(name: string, value: unknown, is: { pattern: RegExp; rule: string }): string {
  return typeof value === "string" && is.pattern.test(value) ? value : fail(name, is.rule);
}

function flag(name: string, value: unknown): boolean {
  if (value === true || value === "true") return true;
  if (value === false || value === "false") return false;
  return fail(name, "must be true or false");
}

function oneOf<T>(name: string, value: unknown, known: Record<string, T>): T {
  const found = typeof value === "string" ? known[value] : undefined;
  return found ?? fail(name, `must be one of ${Object.keys(known).join(", ")}`);
}

/** The token goes to this address: in clear text only within the machine. */
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
  if (!local) return fail("timeScale", "must be 1 where local is not true");
  return scale > 0 && scale < 1 ? scale : fail("timeScale", "must be a number above 0, at most 1");
}

function logRetention(value: unknown): RetentionDays {
  const known = Object.values(RetentionDays).filter((days) => typeof days === "number");
  const found = known.find((days) => String(days) === String(value));
  return found ?? fail("logRetentionDays", "must be a retention that CloudWatch Logs has");
}

import { Stack, type App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { buildApp } from "../lib/app.js";
import { ENVIRONMENTS, type EnvironmentName } from "../lib/environments.js";
import { fakeFunctionsDir } from "./fake-functions.js";

export type Context = Record<string, unknown>;

export const ENVIRONMENT_NAMES = Object.keys(ENVIRONMENTS) as EnvironmentName[];

/** An existing key that a deployment can bring along. */
export const KEY = "arn:aws:kms:eu-central-1:123456789012:key/11112222-3333-4444-5555-666677778888";

/** Every table that a deployment can bring along: setting → name. */
export const EXISTING_TABLES = {
  userProfilesTableName: "library-profiles",
  slackUsersTableName: "library-slack-users",
  channelsTableName: "library-channels",
  deliveriesTableName: "library-deliveries",
  rateLimitsTableName: "library-rate-limits",
  receiptsTableName: "library-receipts",
  itemsTableName: "library-items",
};

const functionsDir = fakeFunctionsDir();

/** The app for this context, with fake functions that need no build. */
export function appOf(context: Context = {}): App {
  return buildApp({ functionsDir, ...context });
}

export function stacksOf(app: App): Stack[] {
  return app.node.children.filter((child) => Stack.isStack(child));
}

/** Settings that only functions read, with other values than the defaults. */
export const SETTINGS_OF_FUNCTIONS = {
  allowExternallySharedChannels: true,
  channelNamePattern: "guide-[a-z0-9-]+|content-bounties",
  channelTrustSeconds: 60,
  defaultSlackPreference: false,
  personTrustSeconds: 3_600,
  reminders: { default: { overdue: 2 }, states: { published: { off: true } } },
  settledEventBusName: "library",
};

/** Deployments to an account that differ in the resources that they have: description → context. */
export const DEPLOYMENTS: [string, Context][] = [
  ["production", {}],
  ["a developers' account", { environment: "dev" }],
  ["production with its own key", { kmsKeyArn: KEY }],
  [
    "production with existing resources",
    {
      ...EXISTING_TABLES,
      kmsKeyArn: KEY,
      slackTokenSecretName: "library/slack",
      alarmTopicArn: "arn:aws:sns:eu-central-1:123456789012:operators",
    },
  ],
  ["a developers' account with its own key", { environment: "dev", kmsKeyArn: KEY }],
  [
    "a developers' account with all that production has",
    { environment: "dev", alarms: true, gradualShift: true, keepData: true },
  ],
  ["a deployment without handlers", { mpcHandlers: false }],
  [
    "a deployment with the other optional settings",
    {
      ...SETTINGS_OF_FUNCTIONS,
      alarmEmail: "operators@library.example",
      gradualShift: false,
      logExecutionData: true,
      mpcEventBusName: "library",
      rateLimiter: false,
    },
  ],
];

export const DEPLOYMENTS_ANYWHERE: [string, Context][] = [
  ...DEPLOYMENTS,
  ["the local stack", { environment: "local" }],
];

const made = new Map<string, Template[]>();

/** The templates of all stacks that the app deploys. Cached for each context, because no test changes a template. */
export function allOf(context: Context = {}): Template[] {
  const key = JSON.stringify(context);
  const known = made.get(key);
  if (known !== undefined) return known;
  const templates = stacksOf(appOf(context)).map((stack) => Template.fromStack(stack));
  made.set(key, templates);
  return templates;
}

export interface Templates {
  readonly notifications: Template;
  readonly handlers: Template;
}

/** The templates of an app that has both stacks. */
export function templatesOf(context: Context = {}): Templates {
  const [notifications, handlers] = allOf(context);
  if (notifications === undefined || handlers === undefined) throw new Error("a stack is missing");
  return { notifications, handlers };
}

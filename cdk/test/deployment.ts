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
};

const functionsDir = fakeFunctionsDir();

/** The app for this context, with fake functions that need no build. */
export function appOf(context: Context = {}): App {
  return buildApp({ functionsDir, ...context });
}

export function stacksOf(app: App): Stack[] {
  return app.node.children.filter((child) => Stack.isStack(child));
}

export interface Templates {
  readonly notifications: Template;
  readonly handlers: Template;
}

const made = new Map<string, Templates>();

/** The templates that the app deploys. Cached for each context, because no test changes a template. */
export function templatesOf(context: Context = {}): Templates {
  const key = JSON.stringify(context);
  const known = made.get(key);
  if (known !== undefined) return known;
  const [notifications, handlers] = stacksOf(appOf(context)).map((stack) =>
    Template.fromStack(stack),
  );
  if (notifications === undefined || handlers === undefined) throw new Error("a stack is missing");
  const templates = { notifications, handlers };
  made.set(key, templates);
  return templates;
}

/** The templates of both stacks, for rules that apply to every stack. */
export function bothOf(context: Context = {}): Template[] {
  const { notifications, handlers } = templatesOf(context);
  return [notifications, handlers];
}

import { App, CliCredentialsStackSynthesizer, Validations, type StackProps } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { boundTo } from "./encryption.js";
import { MpcHandlersStack } from "./mpc-handlers-stack.js";
import { NotificationsStack } from "./notifications-stack.js";
import { isLocal, readSettings } from "./settings.js";

/** Builds the stacks that the context asks for. Synthesis fails if they break a rule of AWS Solutions. */
export function buildApp(context?: Record<string, unknown>): App {
  const app = new App({ context });
  const settings = readSettings(app.node);
  const props = (description: string): StackProps => ({
    description,
    env: boundTo(settings),
    // The local stack enforces IAM, and its bootstrap role may not read the assets.
    synthesizer: isLocal(settings) ? new CliCredentialsStackSynthesizer() : undefined,
    terminationProtection: settings.keepData,
    tags: { application: "apgl-notifications", environment: settings.environment },
  });

  const notifications = new NotificationsStack(app, `${settings.prefix}-notifications`, {
    settings,
    ...props("APGL Notifications: Slack notifications for the library's workflow"),
  });
  if (settings.mpcHandlers) {
    const handlers = new MpcHandlersStack(app, `${settings.prefix}-mpc-handlers`, {
      settings,
      ...props("APGL Notifications: the MPC service's handlers, which start the workflows"),
    });
    // The handlers start the workflows, so the workflows must exist first.
    handlers.addStackDependency(notifications);
  }
  if (!isLocal(settings)) Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
}

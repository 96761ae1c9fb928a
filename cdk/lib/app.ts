import { App, CliCredentialsStackSynthesizer } from "aws-cdk-lib";
import { MpcHandlersStack } from "./mpc-handlers-stack.js";
import { NotificationsStack } from "./notifications-stack.js";
import { readSettings } from "./settings.js";

/** The stacks that the context asks for. */
export function buildApp(context?: Record<string, unknown>): App {
  const app = new App({ context });
  const settings = readSettings(app.node);
  // The local stack enforces IAM and lets no bootstrap role read the assets.
  const synthesizer = () => (settings.local ? new CliCredentialsStackSynthesizer() : undefined);

  const notifications = new NotificationsStack(app, `${settings.prefix}-notifications`, {
    settings,
    description: "APGL Notifications: Slack notifications for the library's workflow",
    synthesizer: synthesizer(),
  });
  if (settings.mpcHandlers) {
    const handlers = new MpcHandlersStack(app, `${settings.prefix}-mpc-handlers`, {
      settings,
      description: "APGL Notifications: the MPC service's handlers, which start the workflows",
      synthesizer: synthesizer(),
    });
    // They start nothing that is not there.
    handlers.addStackDependency(notifications);
  }
  return app;
}

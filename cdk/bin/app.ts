import { App, CliCredentialsStackSynthesizer } from "aws-cdk-lib";
import { NotificationsStack } from "../lib/notifications-stack.js";
import { readSettings } from "../lib/settings.js";

const app = new App();
const settings = readSettings(app.node);
new NotificationsStack(app, `${settings.prefix}-notifications`, {
  settings,
  description: "APGL Notifications: Slack notifications for the library's workflow",
  // The local stack enforces IAM and lets no bootstrap role read the assets.
  synthesizer: settings.local ? new CliCredentialsStackSynthesizer() : undefined,
});

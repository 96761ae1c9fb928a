import { Validations, type Stack } from "aws-cdk-lib";
import { LambdaApplication } from "aws-cdk-lib/aws-codedeploy";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Alarms } from "./alarms.js";
import type { RustFunction } from "./rust-function.js";
import type { Settings } from "./settings.js";

/**
 * Adds the functions' alarms, and has CodeDeploy shift their aliases gradually to a new version. If a
 * function's alarm rings during the shift, CodeDeploy rolls the function back to the previous version.
 */
export function watchAndRelease(
  stack: Stack,
  settings: Settings,
  functions: RustFunction[],
  alarms: Alarms | undefined,
): void {
  // A gradual shift needs alarms; `readSettings` ensures that.
  if (alarms === undefined) return;
  const watched = functions.map((one) => ({ one, alarm: alarms.watchFunction(one) }));
  if (!settings.gradualShift) return;
  const application = new LambdaApplication(stack, "Releases", {
    applicationName: stack.stackName,
  });
  const role = new Role(stack, "ReleasesRole", {
    assumedBy: new ServicePrincipal("codedeploy.amazonaws.com"),
    description: `${stack.stackName}: shifts the functions' aliases from version to version`,
  });
  role.addToPolicy(
    new PolicyStatement({ actions: ["cloudwatch:DescribeAlarms"], resources: ["*"] }),
  );
  Validations.of(role).acknowledge({
    id: "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
    reason: "CodeDeploy only reads alarms, with the same resource as in AWS's own policy",
  });
  for (const { one, alarm } of watched) one.shiftGradually(application, role, alarm);
}

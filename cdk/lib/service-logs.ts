import { DataIdentifier, DataProtectionPolicy, LogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { keyOf } from "./encryption.js";
import { removalPolicy, type Settings } from "./settings.js";

/**
 * A log group. Our code logs no e-mail addresses. If one gets in anyway, for example in the session name
 * of a signed-in caller, CloudWatch masks it.
 */
export class ServiceLogs extends LogGroup {
  constructor(scope: Construct, id: string, settings: Settings, logGroupName: string) {
    super(scope, id, {
      logGroupName,
      retention: settings.logRetentionDays,
      removalPolicy: removalPolicy(settings),
      encryptionKey: keyOf(scope, settings),
      dataProtectionPolicy: new DataProtectionPolicy({
        name: "mask-email-addresses",
        description: "Masks e-mail addresses; only logs:Unmask shows them",
        identifiers: [DataIdentifier.EMAILADDRESS],
      }),
    });
  }
}

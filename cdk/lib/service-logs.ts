import { DataIdentifier, DataProtectionPolicy, LogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { keyOf } from "./encryption.js";
import { removalPolicy, type Settings } from "./settings.js";

/**
 * A log group of ours. Nothing of ours writes an e-mail address; should one come through all the same,
 * for example in the session name of a signed-in caller, CloudWatch shows it masked.
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
        description: "E-mail addresses are shown to nobody without logs:Unmask",
        identifiers: [DataIdentifier.EMAILADDRESS],
      }),
    });
  }
}

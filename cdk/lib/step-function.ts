import { Stack } from "aws-cdk-lib";
import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { FilterPattern } from "aws-cdk-lib/aws-logs";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { keyOf } from "./encryption.js";
import { SLACK_REFUSALS, SLACK_REFUSED, TOKEN_REJECTIONS } from "./metrics.js";
import { RustFunction } from "./rust-function.js";

/** What it takes to call Slack. */
export interface SlackAccess {
  readonly apiUrl: string;
  /** The name of the secret that holds the token. */
  readonly token: string;
  /** The table of rate limits, where executions share them. */
  readonly rateLimits: ITableV2 | undefined;
}

/** What DynamoDB does with a key on behalf of a function. Secrets Manager only decrypts for it. */
const TABLE_KEY_ACTIONS = [
  "kms:Decrypt",
  "kms:DescribeKey",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
];

/** One step of the workflows. By its alias, mended code reaches executions that are redriven. */
export class StepFunction extends RustFunction {
  readonly whenItFails =
    'Run the query "failures" for the error and the execution, mend the cause, then `apgl redrive` what failed.';

  /** May do just these actions on the table itself. */
  mayUse(table: ITableV2, ...actions: string[]): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: actions.map((action) => `dynamodb:${action}`),
        resources: [table.tableArn],
      }),
    );
    this.mayUseKey("dynamodb", TABLE_KEY_ACTIONS);
    return this;
  }

  /** May call Slack: read the token, and use the table of rate limits. */
  mayCallSlack({ apiUrl, token, rateLimits }: SlackAccess): this {
    this.function.addEnvironment("SLACK_API_URL", apiUrl);
    this.function.addEnvironment("SLACK_TOKEN_SECRET", token);
    if (rateLimits !== undefined) {
      this.function.addEnvironment("RATE_LIMITS_TABLE", rateLimits.tableName);
      const { timeScale } = this.settings;
      if (timeScale !== 1) this.function.addEnvironment("TIME_SCALE", String(timeScale));
      this.mayUse(rateLimits, "BatchGetItem", "PutItem", "UpdateItem");
    }
    this.countLines(SLACK_REFUSALS, FilterPattern.literal(`"${SLACK_REFUSED}"`));
    this.countLines(TOKEN_REJECTIONS, FilterPattern.literal('"Slack.Unauthorized"'));
    return this.mayReadSecret(token);
  }

  /**
   * May read the secret. The grant goes by the secret's name: its pattern matches the ARN in AWS
   * and on the local stack, whose `Ref` of a secret is the name.
   */
  private mayReadSecret(name: string): this {
    const secret = Secret.fromSecretNameV2(this, "Token", name);
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["secretsmanager:GetSecretValue"],
        resources: [`${secret.secretArn}-??????`],
      }),
    );
    this.mayUseKey("secretsmanager", ["kms:Decrypt"]);
    return this;
  }

  /** May have the key used by that service, where the deployment brings a key along. */
  private mayUseKey(service: string, actions: string[]): void {
    const key = keyOf(this, this.settings);
    if (key === undefined) return;
    const { region, urlSuffix } = Stack.of(this);
    this.role.addToPolicy(
      new PolicyStatement({
        actions,
        resources: [key.keyArn],
        conditions: { StringEquals: { "kms:ViaService": `${service}.${region}.${urlSuffix}` } },
      }),
    );
  }
}

import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { FilterPattern } from "aws-cdk-lib/aws-logs";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { SLACK_REFUSALS, SLACK_REFUSED, TOKEN_REJECTIONS } from "./metrics.js";
import { RustFunction } from "./rust-function.js";

/** Taking calls from the rate limits. */
const TAKES_CALLS = ["BatchGetItem", "DeleteItem", "PutItem", "Query", "UpdateItem"];

/** What it takes to call Slack. */
export interface SlackAccess {
  readonly apiUrl: string;
  /** The name of the secret that holds the token. */
  readonly token: string;
  /** The table of rate limits, where executions share them. */
  readonly rateLimits: ITableV2 | undefined;
}

/** One step of the workflows. By its alias, mended code reaches executions that are redriven. */
export class StepFunction extends RustFunction {
  readonly whenItFails =
    'Run the query "failures" for the error and the execution, mend the cause, then `apgl redrive` what failed.';

  /** May call Slack: read the token, and use the table of rate limits. */
  mayCallSlack({ apiUrl, token, rateLimits }: SlackAccess): this {
    this.function.addEnvironment("SLACK_API_URL", apiUrl);
    this.function.addEnvironment("SLACK_TOKEN_SECRET", token);
    if (rateLimits !== undefined) {
      this.mayUseRateLimits(rateLimits, ...TAKES_CALLS);
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
}

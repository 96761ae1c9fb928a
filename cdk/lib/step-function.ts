import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { FilterPattern } from "aws-cdk-lib/aws-logs";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { SLACK_REFUSALS, SLACK_REFUSED, TOKEN_REJECTIONS } from "./metrics.js";
import { RustFunction } from "./rust-function.js";

/** The actions on the rate limits table that reserving calls needs. */
const TAKES_CALLS = ["BatchGetItem", "DeleteItem", "PutItem", "Query", "UpdateItem"];

/** What a step needs to call Slack. */
export interface SlackAccess {
  readonly apiUrl: string;
  /** The name of the secret that holds the token. */
  readonly token: string;
  /** The rate limits table, if the rate limiter is on. */
  readonly rateLimits: ITableV2 | undefined;
}

/** One step of the workflows. Workflows call its alias, so that a redriven execution runs the fixed code. */
export class StepFunction extends RustFunction {
  readonly whenItFails =
    'Run the query "failures" for the error and the execution, fix the cause, then `apgl redrive` the failed executions.';

  /** Allows the step to call Slack: to read the token and use the rate limits table. */
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
   * Allows the step to read the secret. The grant uses the secret's name as a pattern. It matches the ARN in
   * AWS and on the local stack, where the `Ref` of a secret is its name.
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

import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { RustFunction } from "./rust-function.js";

/** What it takes to call Slack. */
export interface SlackAccess {
  readonly apiUrl: string;
  /** The name of the secret that holds the token. */
  readonly token: string;
  /** The queue for Slack's limits, where they are shared out. */
  readonly pacing: ITableV2 | undefined;
}

/** One step of the workflows. By its alias, mended code reaches executions that are redriven. */
export class StepFunction extends RustFunction {
  /** May do just these actions on the table itself. */
  mayUse(table: ITableV2, ...actions: string[]): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: actions.map((action) => `dynamodb:${action}`),
        resources: [table.tableArn],
      }),
    );
    return this;
  }

  /** May call Slack: read the token, and queue for Slack's limits. */
  mayCallSlack({ apiUrl, token, pacing }: SlackAccess): this {
    this.function.addEnvironment("SLACK_API_URL", apiUrl);
    this.function.addEnvironment("SLACK_TOKEN_SECRET", token);
    if (pacing !== undefined) {
      this.function.addEnvironment("PACING_TABLE", pacing.tableName);
      const { timeScale } = this.settings;
      if (timeScale !== 1) this.function.addEnvironment("TIME_SCALE", String(timeScale));
      this.mayUse(pacing, "GetItem", "UpdateItem");
    }
    return this.mayReadSecret(token);
  }

  /**
   * May read the secret. The grant goes by the secret's name: its pattern matches the ARN in AWS
   * and on the local stack, whose `Ref` of a secret is the name.
   */
  private mayReadSecret(name: string): this {
    Secret.fromSecretNameV2(this, "Token", name).grantRead(this.role);
    return this;
  }

  mayPublishMetrics(namespace: string): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["cloudwatch:PutMetricData"],
        // CloudWatch has no resources for this action; the condition is the limit.
        resources: ["*"],
        conditions: { StringEquals: { "cloudwatch:namespace": namespace } },
      }),
    );
    return this;
  }
}

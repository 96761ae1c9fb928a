import * as fs from "node:fs";
import * as path from "node:path";
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Alias, Code, Function, LoggingFormat, Runtime } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import type { Settings } from "./settings.js";

/** A function's own time-out where it does not say another; the workflows' Tasks wait longer. */
export const DEFAULT_TIMEOUT_SECONDS = 30;

export interface StepFunctionProps {
  readonly settings: Settings;
  readonly environment?: Record<string, string>;
  readonly timeoutSeconds?: number;
}

/** What it takes to call Slack. */
export interface SlackAccess {
  readonly apiUrl: string;
  /** The name of the secret that holds the token. */
  readonly token: string;
  /** The queue for Slack's limits, where they are shared out. */
  readonly pacing: ITableV2 | undefined;
}

/**
 * One step: a Rust Lambda with a role and a log group of its own, called by its alias, so that
 * mended code reaches executions that are redriven.
 *
 * The construct's id is the crate's name in PascalCase: `PostMessage` is `functions/post-message`.
 */
export class StepFunction extends Construct {
  readonly alias: Alias;
  private readonly function: Function;
  private readonly role: Role;
  private readonly settings: Settings;

  constructor(scope: Construct, id: string, props: StepFunctionProps) {
    super(scope, id);
    const { settings } = props;
    this.settings = settings;
    const crate = kebabCase(id);
    const functionName = `${settings.prefix}-${crate}`;
    const logGroup = new LogGroup(this, "Logs", {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: settings.logRetention,
      removalPolicy: settings.local ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
    });
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: `${functionName}: what this step may do, and nothing else`,
    });
    logGroup.grantWrite(this.role);
    this.function = new Function(this, "Function", {
      functionName,
      runtime: Runtime.PROVIDED_AL2023,
      architecture: settings.architecture,
      handler: "bootstrap",
      code: Code.fromAsset(builtFunction(settings.functionsDir, crate)),
      memorySize: 128,
      timeout: Duration.seconds(props.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS),
      environment: props.environment,
      role: this.role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
    });
    this.alias = new Alias(this, "Live", {
      aliasName: "live",
      version: this.function.currentVersion,
    });
  }

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

export function kebabCase(pascalCase: string): string {
  return pascalCase.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase();
}

function builtFunction(functionsDir: string, crate: string): string {
  const folder = path.resolve(functionsDir, crate);
  if (!fs.existsSync(path.join(folder, "bootstrap"))) {
    throw new Error(
      `${crate} is not built: there is no ${path.join(folder, "bootstrap")}. ` +
        "Build the functions with `cargo lambda build --release --arm64`, or set functionsDir.",
    );
  }
  return folder;
}

import * as fs from "node:fs";
import * as path from "node:path";
import { Duration, Stack, Token, Validations } from "aws-cdk-lib";
import type { IAlarm, Metric } from "aws-cdk-lib/aws-cloudwatch";
import {
  LambdaDeploymentConfig,
  LambdaDeploymentGroup,
  type ILambdaApplication,
} from "aws-cdk-lib/aws-codedeploy";
import type { ITableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Alias, Code, Function, LoggingFormat, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import { FilterPattern, MetricFilter, type IFilterPattern } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { keyOf } from "./encryption.js";
import { FIVE_MINUTES, logMetric, logMetricsNamespace, METRICS_NAMESPACE } from "./metrics.js";
import { LIVE } from "./live.js";
import { ServiceLogs } from "./service-logs.js";
import { removalPolicy, type Settings } from "./settings.js";
import { statesArn } from "./states-arn.js";

/** A function's own time-out where it does not say another; the workflows' Tasks wait longer. */
const DEFAULT_TIMEOUT_SECONDS = 30;

/**
 * A line that asks for an operator, or Lambda's own word that the time was over or that the function could
 * not start or died. Not `status = "error"` as a whole: a step that waits ends so, too.
 *
 * Source: "Lambda Telemetry API: event schema reference", AWS.
 */
const TROUBLE = `{ ${[
  '($.level = "ERROR")',
  '($.type = "platform.report" && $.record.status = "timeout")',
  ...["Runtime.ExitError", "Runtime.InvalidEntrypoint", "Runtime.OutOfMemory"].map(
    (type) => `($.record.errorType = "${type}")`,
  ),
].join(" || ")} }`;

/** What DynamoDB does with a key on behalf of a function. Secrets Manager only decrypts for it. */
const TABLE_KEY_ACTIONS = [
  "kms:Decrypt",
  "kms:DescribeKey",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "kms:ReEncryptFrom",
  "kms:ReEncryptTo",
];

export interface RustFunctionProps {
  readonly settings: Settings;
  readonly environment?: Record<string, string>;
  readonly timeoutSeconds?: number;
}

/**
 * A Rust Lambda with a role and a log group of its own, called by its alias.
 *
 * The construct's id is the crate's name in PascalCase: `PostMessage` is `functions/post-message`.
 */
export abstract class RustFunction extends Construct {
  readonly alias: Alias;
  readonly logs: ServiceLogs;
  readonly timeout: Duration;
  /** How often it failed in a way that asks for an operator. */
  readonly errors: Metric;
  /** How long its longest invocation took. */
  readonly longest: Metric;
  /** What an operator does when the function's alarm for errors rings. */
  abstract readonly whenItFails: string;
  protected readonly function: Function;
  protected readonly role: Role;
  protected readonly settings: Settings;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id);
    const { settings } = props;
    this.settings = settings;
    this.timeout = Duration.seconds(props.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS);
    const crate = kebabCase(id);
    const functionName = `${settings.prefix}-${crate}`;
    this.logs = new ServiceLogs(this, "Logs", settings, `/aws/lambda/${functionName}`);
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: `${functionName}: what this function may do, and nothing else`,
    });
    this.logs.grantWrite(this.role);
    this.function = new Function(this, "Function", {
      functionName,
      runtime: Runtime.PROVIDED_AL2023,
      architecture: settings.architecture,
      handler: "bootstrap",
      code: Code.fromAsset(builtFunction(settings.functionsDir, crate)),
      memorySize: 128,
      timeout: this.timeout,
      environment: props.environment,
      role: this.role,
      logGroup: this.logs,
      loggingFormat: LoggingFormat.JSON,
      tracing: Tracing.ACTIVE,
      // The version before is what a release is rolled back to.
      currentVersionOptions: { removalPolicy: removalPolicy(settings) },
    });
    Validations.of(this.role).acknowledge({
      id: "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
      reason: "X-Ray and CloudWatch's PutMetricData have no resources to name",
    });
    this.alias = new Alias(this, "Live", {
      aliasName: LIVE,
      version: this.function.currentVersion,
    });
    this.countLines(`${id}Errors`, FilterPattern.literal(TROUBLE));
    this.errors = logMetric(settings, `${id}Errors`);
    this.longest = this.function.metricDuration({ statistic: "Maximum", period: FIVE_MINUTES });
  }

  /** Counts log lines. Filters of several functions may add to one metric. */
  protected countLines(metricName: string, filterPattern: IFilterPattern): void {
    new MetricFilter(this, metricName, {
      logGroup: this.logs,
      filterPattern,
      metricNamespace: logMetricsNamespace(this.settings),
      metricName,
      metricValue: "1",
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
    this.mayUseKey("dynamodb", TABLE_KEY_ACTIONS);
    return this;
  }

  /** Knows the table of rate limits and Slack's time, and may do just these actions on the table. */
  mayUseRateLimits(table: ITableV2, ...actions: string[]): this {
    this.function.addEnvironment("RATE_LIMITS_TABLE", table.tableName);
    const { timeScale } = this.settings;
    if (timeScale !== 1) this.function.addEnvironment("TIME_SCALE", String(timeScale));
    return this.mayUse(table, ...actions);
  }

  /** May look up items by one of the table's indexes. */
  mayQuery(table: ITableV2, index: string): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["dynamodb:Query"],
        resources: [`${table.tableArn}/index/${index}`],
      }),
    );
    return this;
  }

  /** May do these actions on the executions of the state machines with these names. */
  protected mayReadExecutions(stateMachineNames: string[], ...actions: string[]): void {
    const { account, region } = Stack.of(this);
    // As cdk-nag writes what only the deployment knows.
    const place = [
      Token.isUnresolved(region) ? "<AWS::Region>" : region,
      Token.isUnresolved(account) ? "<AWS::AccountId>" : account,
    ].join(":");
    this.role.addToPolicy(
      new PolicyStatement({
        actions,
        resources: stateMachineNames.map((name) => `${statesArn(this, "execution", name)}:*`),
      }),
    );
    for (const name of stateMachineNames) {
      Validations.of(this.role).acknowledge({
        id: `AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:${place}:execution:${name}:*]`,
        reason: "It reads executions, whose names are not known beforehand",
      });
    }
  }

  /** Publishes metrics of ours, and no others. */
  mayPublishMetrics(): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["cloudwatch:PutMetricData"],
        // CloudWatch has no resources for this action; the condition is the limit.
        resources: ["*"],
        conditions: { StringEquals: { "cloudwatch:namespace": METRICS_NAMESPACE } },
      }),
    );
    return this;
  }

  /** A release takes a tenth of the invocations first, and is rolled back when the alarm rings. */
  shiftGradually(application: ILambdaApplication, role: Role, alarm: IAlarm): void {
    const { functionArn } = this.function;
    role.addToPolicy(
      new PolicyStatement({
        actions: [
          "lambda:GetAlias",
          "lambda:GetProvisionedConcurrencyConfig",
          "lambda:UpdateAlias",
        ],
        resources: [functionArn, `${functionArn}:${LIVE}`],
      }),
    );
    new LambdaDeploymentGroup(this, "Release", {
      application,
      // Or it would attach AWS's own policy, which is for every function of the account.
      role: role.withoutPolicyUpdates(),
      alias: this.alias,
      alarms: [alarm],
      deploymentConfig: LambdaDeploymentConfig.CANARY_10PERCENT_10MINUTES,
    });
  }

  /** May have the key used by that service, where the deployment brings a key along. */
  protected mayUseKey(service: string, actions: string[]): void {
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

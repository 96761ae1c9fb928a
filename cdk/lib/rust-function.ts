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
import { hasStateMachineAliases, removalPolicy, type Settings } from "./settings.js";
import { stateMachineNameOf, statesArn } from "./states-arn.js";

/** The default time-out of a function. The workflows' Tasks wait longer than that. */
const DEFAULT_TIMEOUT_SECONDS = 30;

/**
 * Matches a log line that needs an operator, and Lambda's own events for a time-out, a failed start or a
 * crash. It does not match every `status = "error"`, because a step that waits also ends with that status.
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

/** The actions that DynamoDB needs on a key on behalf of a function. Secrets Manager only decrypts. */
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
  readonly memoryMb?: number;
}

/**
 * A Rust Lambda function with its own role and log group. Callers use its alias.
 *
 * The construct's id is the crate's name in PascalCase: `PostMessage` is `functions/post-message`.
 */
export abstract class RustFunction extends Construct {
  readonly alias: Alias;
  readonly logs: ServiceLogs;
  readonly timeout: Duration;
  /** The number of failures that need an operator. */
  readonly errors: Metric;
  /** The duration of the longest invocation. */
  readonly longest: Metric;
  /** What an operator must do when the function's error alarm rings. */
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
      description: `${functionName}: only what this function needs`,
    });
    this.logs.grantWrite(this.role);
    this.function = new Function(this, "Function", {
      functionName,
      runtime: Runtime.PROVIDED_AL2023,
      architecture: settings.architecture,
      handler: "bootstrap",
      code: Code.fromAsset(builtFunction(settings.functionsDir, crate)),
      memorySize: props.memoryMb ?? 128,
      timeout: this.timeout,
      environment: props.environment,
      role: this.role,
      logGroup: this.logs,
      loggingFormat: LoggingFormat.JSON,
      tracing: Tracing.ACTIVE,
      // A release is rolled back to the previous version.
      currentVersionOptions: { removalPolicy: removalPolicy(settings) },
    });
    Validations.of(this.role).acknowledge({
      id: "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
      reason: "X-Ray and CloudWatch's PutMetricData do not support resource ARNs",
    });
    this.alias = new Alias(this, "Live", {
      aliasName: LIVE,
      version: this.function.currentVersion,
    });
    this.countLines(`${id}Errors`, FilterPattern.literal(TROUBLE));
    this.errors = logMetric(settings, `${id}Errors`);
    this.longest = this.function.metricDuration({ statistic: "Maximum", period: FIVE_MINUTES });
  }

  /** Counts log lines. The filters of several functions can share one metric. */
  protected countLines(metricName: string, filterPattern: IFilterPattern): void {
    this.measureLines(metricName, filterPattern, "1");
  }

  /** Publishes a value of log lines: a number, or the place of a field such as `$.itemsWaiting`. */
  protected measureLines(
    metricName: string,
    filterPattern: IFilterPattern,
    metricValue: string,
  ): void {
    new MetricFilter(this, metricName, {
      logGroup: this.logs,
      filterPattern,
      metricNamespace: logMetricsNamespace(this.settings),
      metricName,
      metricValue,
    });
  }

  /** Allows exactly these actions on the table itself. */
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

  /** Passes the rate limits table and the time scale to the function, and allows exactly these actions on it. */
  mayUseRateLimits(table: ITableV2, ...actions: string[]): this {
    this.function.addEnvironment("RATE_LIMITS_TABLE", table.tableName);
    const { timeScale } = this.settings;
    if (timeScale !== 1) this.function.addEnvironment("TIME_SCALE", String(timeScale));
    return this.mayUse(table, ...actions);
  }

  /** Allows queries of one of the table's indexes. */
  mayQuery(table: ITableV2, index: string): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["dynamodb:Query"],
        resources: [`${table.tableArn}/index/${index}`],
      }),
    );
    return this;
  }

  /** Allows these actions on the executions of the named state machines. */
  protected mayReadExecutions(stateMachineNames: string[], ...actions: string[]): void {
    const { account, region } = Stack.of(this);
    // cdk-nag writes unresolved values like this.
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
        reason: "It reads executions, whose names are not known in advance",
      });
    }
  }

  /**
   * Allows the function to start these workflows. It refers to them by name, so that neither stack blocks
   * a change or the removal of the other.
   */
  mayStart(...workflows: string[]): this {
    const hasAlias = hasStateMachineAliases(this.settings);
    const names = workflows.map((workflow) => stateMachineNameOf(this.settings, workflow));
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["states:StartExecution"],
        resources: names.map((name) => statesArn(this, "stateMachine", name)),
        // Step Functions authorises against the state machine's ARN; the condition allows only the alias.
        conditions: hasAlias
          ? { "ForAnyValue:StringEquals": { "states:StateMachineQualifier": LIVE } }
          : undefined,
      }),
    );
    this.mayReadExecutions(names, "states:DescribeExecution");
    this.function.addEnvironment(
      "APGL_STATE_MACHINES",
      statesArn(this, "stateMachine", this.settings.prefix),
    );
    if (hasAlias) this.function.addEnvironment("APGL_STATE_MACHINE_ALIAS", LIVE);
    return this;
  }

  /** Allows the function to publish metrics in our namespace only. */
  mayPublishMetrics(): this {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["cloudwatch:PutMetricData"],
        // CloudWatch supports no resource for this action; the condition restricts it instead.
        resources: ["*"],
        conditions: { StringEquals: { "cloudwatch:namespace": METRICS_NAMESPACE } },
      }),
    );
    return this;
  }

  /** A release gets a tenth of the invocations first, and is rolled back if the alarm rings. */
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
    const group = new LambdaDeploymentGroup(this, "Release", {
      application,
      // Otherwise the construct would attach AWS's managed policy, which covers every function in the account.
      role: role.withoutPolicyUpdates(),
      alias: this.alias,
      alarms: [alarm],
      deploymentConfig: LambdaDeploymentConfig.CANARY_10PERCENT_10MINUTES,
    });
    // The alias waits for its group. CodeDeploy must not start before the role has its policy.
    group.node.addDependency(role);
  }

  /** Allows the service to use the deployment's key for this function, if the deployment brings its own key. */
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

import * as fs from "node:fs";
import * as path from "node:path";
import { Duration } from "aws-cdk-lib";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Alias, Code, Function, LoggingFormat, Runtime } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { removalPolicy, type Settings } from "./settings.js";

/** A function's own time-out where it does not say another; the workflows' Tasks wait longer. */
export const DEFAULT_TIMEOUT_SECONDS = 30;

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
  protected readonly function: Function;
  protected readonly role: Role;
  protected readonly settings: Settings;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id);
    const { settings } = props;
    this.settings = settings;
    const crate = kebabCase(id);
    const functionName = `${settings.prefix}-${crate}`;
    const logGroup = new LogGroup(this, "Logs", {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: settings.logRetention,
      removalPolicy: removalPolicy(settings),
    });
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: `${functionName}: what this function may do, and nothing else`,
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

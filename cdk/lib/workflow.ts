import * as fs from "node:fs";
import * as path from "node:path";
import { RemovalPolicy, Validations } from "aws-cdk-lib";
import type { IAlarm } from "aws-cdk-lib/aws-cloudwatch";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  CfnStateMachineAlias,
  CfnStateMachineVersion,
  DefinitionBody,
  LogLevel,
  StateMachine,
} from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { LIVE } from "./live.js";
import { ServiceLogs } from "./service-logs.js";
import type { Settings } from "./settings.js";
import { stateMachineNameOf } from "./states-arn.js";
import type { StepFunction } from "./step-function.js";

export const STATE_MACHINES_DIR = path.join(import.meta.dirname, "../../statemachines");
const SUFFIX = ".asl.json";

export interface WorkflowProps {
  readonly settings: Settings;
  /** The ASL file. */
  readonly file: string;
  /** All steps by their ids. The workflow may call those that its file names. */
  readonly steps: ReadonlyMap<string, StepFunction>;
}

/** One Standard state machine from one ASL file, with a role that may call only its own steps. */
export class Workflow extends Construct {
  readonly stateMachine: StateMachine;
  readonly logs: ServiceLogs;
  /** The name that callers use for the state machine. */
  readonly stateMachineName: string;
  private readonly settings: Settings;

  constructor(scope: Construct, id: string, props: WorkflowProps) {
    super(scope, id);
    const { settings, file, steps } = props;
    this.settings = settings;
    const stateMachineName = stateMachineNameOf(settings, path.basename(file, SUFFIX));
    this.stateMachineName = stateMachineName;
    const role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("states.amazonaws.com"),
      description: `${stateMachineName}: calls its own steps`,
    });
    const substitutions: Record<string, string> = {};
    for (const stepId of stepsCalledBy(file)) {
      const step = steps.get(stepId);
      if (step === undefined) {
        throw new Error(`${file} calls \${${stepId}FunctionArn}, but there is no such function`);
      }
      substitutions[`${stepId}FunctionArn`] = step.alias.functionArn;
    }
    Validations.of(role).acknowledge({
      id: "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
      reason: "X-Ray and the log deliveries of state machines do not support resource ARNs",
    });
    // Definitions of release 0.1 also call PublishMetrics. Their executions have the same role, and may be redriven.
    const publishMetrics = steps.get("PublishMetrics")?.alias.functionArn ?? [];
    const functions = Object.values(substitutions).concat(publishMetrics);
    // `grantInvoke` would also allow every version with a `*`.
    role.addToPolicy(
      new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: functions }),
    );
    this.logs = new ServiceLogs(
      this,
      "Logs",
      settings,
      `/aws/vendedlogs/states/${stateMachineName}`,
    );
    this.stateMachine = new StateMachine(this, "StateMachine", {
      stateMachineName,
      definitionBody: DefinitionBody.fromFile(file),
      definitionSubstitutions: substitutions,
      role,
      tracingEnabled: true,
      logs: {
        level: LogLevel.ALL,
        // The execution data contains messages and addresses, which are confidential.
        includeExecutionData: settings.logExecutionData,
        destination: this.logs,
      },
    });
  }

  /**
   * Publishes a version of the state machine and points the alias that callers use at it: at once, or for a
   * tenth of the executions first, with a rollback if an alarm rings. A running execution stays on the version
   * that it started with. Returns the ARN that callers start.
   */
  release(alarms: IAlarm[]): string {
    const { stateMachine, settings } = this;
    const version = new CfnStateMachineVersion(this, "Version", {
      stateMachineArn: stateMachine.stateMachineArn,
      stateMachineRevisionId: stateMachine.stateMachineRevisionId,
    });
    // A rollback needs the previous version, so it must not be deleted.
    version.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const gradually = {
      type: "CANARY",
      percentage: 10,
      interval: 10,
      alarms: alarms.map(({ alarmName }) => alarmName),
    };
    const alias = new CfnStateMachineAlias(this, "Live", {
      name: LIVE,
      description: "The version that callers start",
      deploymentPreference: {
        stateMachineVersionArn: version.ref,
        ...(settings.gradualShift ? gradually : { type: "ALL_AT_ONCE" }),
      },
    });
    return alias.attrArn;
  }
}

/** All workflows: construct id → ASL file. */
export function workflowFiles(folder: string = STATE_MACHINES_DIR): Map<string, string> {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith(SUFFIX));
  return new Map(
    files.sort().map((file) => [pascalCase(path.basename(file, SUFFIX)), path.join(folder, file)]),
  );
}

/** The ids of the steps whose ARNs are placeholders in an ASL file. */
export function stepsCalledBy(file: string): string[] {
  const placeholders = fs.readFileSync(file, "utf8").matchAll(/\$\{([^}]*)\}/g);
  const ids = [...placeholders].map(([placeholder, name]) => {
    const id = /^([A-Z][A-Za-z]*)FunctionArn$/.exec(name ?? "")?.[1];
    if (id === undefined)
      throw new Error(`${file} contains ${placeholder}, which is not a function's ARN`);
    return id;
  });
  return [...new Set(ids)].sort();
}

export function pascalCase(kebabCase: string): string {
  return kebabCase.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

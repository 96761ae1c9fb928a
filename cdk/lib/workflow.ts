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
import type { StepFunction } from "./step-function.js";

export const STATE_MACHINES_DIR = path.join(import.meta.dirname, "../../statemachines");
const SUFFIX = ".asl.json";

export interface WorkflowProps {
  readonly settings: Settings;
  /** The ASL file. */
  readonly file: string;
  /** Every step that there is, by its id. The workflow may call those that its file names. */
  readonly steps: ReadonlyMap<string, StepFunction>;
}

/** One Standard state machine from one ASL file, with a role that may call its own steps only. */
export class Workflow extends Construct {
  readonly stateMachine: StateMachine;
  readonly logs: ServiceLogs;
  /** The state machine's name, by which its callers know it. */
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
        throw new Error(`${file} calls \${${stepId}FunctionArn}, and there is no such function`);
      }
      substitutions[`${stepId}FunctionArn`] = step.alias.functionArn;
    }
    Validations.of(role).acknowledge({
      id: "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
      reason: "X-Ray and the log deliveries of state machines have no resources to name",
    });
    // Not by `grantInvoke`, which also allows every version by a `*`.
    role.addToPolicy(
      new PolicyStatement({
        actions: ["lambda:InvokeFunction"],
        resources: Object.values(substitutions),
      }),
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
        // Messages and addresses are confidential.
        includeExecutionData: settings.logExecutionData,
        destination: this.logs,
      },
    });
  }

  /**
   * Publishes a version of the state machine, and points the alias at it that callers use: at once, or
   * for a tenth of the executions first, which is taken back when an alarm rings. An execution ends on
   * the version that it has started with. Answers the ARN that callers start.
   */
  release(alarms: IAlarm[]): string {
    const { stateMachine, settings } = this;
    const version = new CfnStateMachineVersion(this, "Version", {
      stateMachineArn: stateMachine.stateMachineArn,
      stateMachineRevisionId: stateMachine.stateMachineRevisionId,
    });
    // A version that is no more can't be rolled back to.
    version.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const gradually = {
      type: "CANARY",
      percentage: 10,
      interval: 10,
      alarms: alarms.map(({ alarmName }) => alarmName),
    };
    const alias = new CfnStateMachineAlias(this, "Live", {
      name: LIVE,
      description: "What callers start",
      deploymentPreference: {
        stateMachineVersionArn: version.ref,
        ...(settings.gradualShift ? gradually : { type: "ALL_AT_ONCE" }),
      },
    });
    return alias.attrArn;
  }
}

/** The name of a workflow's state machine, by which its callers know it. */
export function stateMachineNameOf(settings: Settings, workflow: string): string {
  return `${settings.prefix}-${workflow}`;
}

/** The workflows that there are: construct id → ASL file. */
export function workflowFiles(folder: string = STATE_MACHINES_DIR): Map<string, string> {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith(SUFFIX));
  return new Map(
    files.sort().map((file) => [pascalCase(path.basename(file, SUFFIX)), path.join(folder, file)]),
  );
}

/** The ids of the steps whose ARNs an ASL file leaves to be filled in. */
export function stepsCalledBy(file: string): string[] {
  const placeholders = fs.readFileSync(file, "utf8").matchAll(/\$\{([^}]*)\}/g);
  const ids = [...placeholders].map(([placeholder, name]) => {
    const id = /^([A-Z][A-Za-z]*)FunctionArn$/.exec(name ?? "")?.[1];
    if (id === undefined)
      throw new Error(`${file} holds ${placeholder}, which is no function's ARN`);
    return id;
  });
  return [...new Set(ids)].sort();
}

export function pascalCase(kebabCase: string): string {
  return kebabCase.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

import * as fs from "node:fs";
import * as path from "node:path";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { DefinitionBody, LogLevel, StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { removalPolicy, type Settings } from "./settings.js";
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

  constructor(scope: Construct, id: string, props: WorkflowProps) {
    super(scope, id);
    const { settings, file, steps } = props;
    const stateMachineName = stateMachineNameOf(settings, path.basename(file, SUFFIX));
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
      step.alias.grantInvoke(role);
      substitutions[`${stepId}FunctionArn`] = step.alias.functionArn;
    }
    this.stateMachine = new StateMachine(this, "StateMachine", {
      stateMachineName,
      definitionBody: DefinitionBody.fromFile(file),
      definitionSubstitutions: substitutions,
      role,
      logs: {
        level: LogLevel.ALL,
        // Messages and addresses are confidential.
        includeExecutionData: false,
        destination: new LogGroup(this, "Logs", {
          logGroupName: `/aws/vendedlogs/states/${stateMachineName}`,
          retention: settings.logRetention,
          removalPolicy: removalPolicy(settings),
        }),
      },
    });
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

function pascalCase(kebabCase: string): string {
  return kebabCase.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

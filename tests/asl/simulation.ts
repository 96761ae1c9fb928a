import jsonata from "jsonata";
import type { Json, Machine, State } from "./machine.js";

/** A function: its input → its result. It may throw a `StepFailed`. */
export type StepFunction = (input: Record<string, Json>) => Json;

/** A step's failure, as its function returns it. */
export class StepFailed extends Error {
  constructor(error: string, reason: string) {
    super(reason);
    this.name = error;
  }
}

/** Something whose size Step Functions limits, for example the payload of a state. */
export interface Sized {
  state: string;
  what: "payload" | "result" | "variables" | "output";
  bytes: number;
}

/** What Step Functions adds to the result of an invocation. The headers are about this long. */
const INVOCATION = {
  ExecutedVersion: "live",
  SdkHttpMetadata: { AllHttpHeaders: { "X-Amzn-Trace-Id": ["x".repeat(500)] } },
  StatusCode: 200,
};
/** The longest names that an execution can have. */
const CONTEXT = {
  Execution: {
    Id: `arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:${"x".repeat(80)}:${"x".repeat(80)}`,
    StartTime: "2026-11-26T10:00:00.000Z",
    RedriveTime: "2026-11-27T09:00:00.123Z",
    RedriveCount: 1_000,
  },
  StateMachine: { Name: "x".repeat(80) },
};

/** How a simulated execution has ended, and the sizes of everything on the way. */
export interface Simulated {
  output: Json;
  sizes: Sized[];
  /** The state in which it has failed, and the error. */
  failed?: { in: string; error: string };
}

/** Runs a machine. An error that no `Catch` names ends the execution; nothing is retried. */
export async function simulated(
  machine: Machine,
  input: Json,
  functions: Record<string, StepFunction>,
): Promise<Simulated> {
  const sizes: Sized[] = [];
  const variables: Record<string, Json> = {};
  let output = input;
  let name: string | undefined = machine.StartAt;
  while (name !== undefined) {
    const state: State = machine.States[name] ?? { Type: "missing" };
    const measured = (what: Sized["what"], value: Json) => {
      sizes.push({ state: name ?? "", what, bytes: bytesOf(value) });
      return value;
    };
    const states: Record<string, Json> = { context: CONTEXT, input: output };
    const evaluated = (value: unknown) => evaluate(value, { ...variables, states });
    let next = state.Next;
    if (state.Type === "Task") {
      const payload = measured("payload", await evaluated(state.Arguments?.Payload));
      const { input } = payload as { input: Record<string, Json> };
      const called = resultOf(functions[name], input);
      if (called instanceof StepFailed) {
        const error = called.name;
        const rule = (state.Catch ?? []).find(({ ErrorEquals }) => ErrorEquals.includes(error));
        if (rule === undefined) return { output: null, sizes, failed: { in: name, error } };
        const caught = { ...states, errorOutput: { Error: error, Cause: causeOf(called) } };
        const scope = { ...variables, states: caught };
        Object.assign(variables, await evaluate(rule.Assign ?? {}, scope));
        name = rule.Next;
        continue;
      }
      states["result"] = measured("result", { ...INVOCATION, Payload: called });
      output = states["result"];
    } else if (state.Type === "Choice") {
      next = state.Default;
      for (const choice of state.Choices ?? []) {
        if ((await evaluated(choice["Condition"])) !== true) continue;
        next = choice.Next;
        break;
      }
    } else if (state.Type === "Fail") {
      const error = String(await evaluate(state["Error"], variables));
      return { output: null, sizes, failed: { in: name, error } };
    } else if (state.Type !== "Pass" && state.Type !== "Succeed") {
      throw new Error(`${name} is a ${state.Type}, which is not simulated`);
    }
    const assigned = (await evaluated(state.Assign ?? {})) as Record<string, Json>;
    if (state["Output"] !== undefined) output = await evaluated(state["Output"]);
    measured("variables", assigned);
    measured("output", output);
    Object.assign(variables, assigned);
    name = next;
  }
  return { output, sizes };
}

function resultOf(step: StepFunction | undefined, input: Record<string, Json>): Json | StepFailed {
  try {
    return step?.(input) ?? null;
  } catch (error) {
    if (error instanceof StepFailed) return error;
    throw error;
  }
}

/** The cause of a failed invocation, as Step Functions gets it from Lambda. */
function causeOf({ name, message }: StepFailed): string {
  const errorMessage = JSON.stringify({ message, retryAfterSeconds: 1 });
  return JSON.stringify({ errorType: name, errorMessage });
}

export function bytesOf(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** The value with the results of its expressions. */
async function evaluate(value: unknown, variables: Record<string, Json>): Promise<Json> {
  if (typeof value === "string") {
    const expression = /^\{%([^]*)%\}$/.exec(value)?.[1];
    if (expression === undefined) return value;
    const compiled = jsonata(expression);
    compiled.registerFunction("parse", (text: string) => JSON.parse(text) as Json);
    const result: unknown = await compiled.evaluate({}, variables);
    return (result === undefined ? null : JSON.parse(JSON.stringify(result))) as Json;
  }
  if (Array.isArray(value)) {
    return Promise.all(value.map((part) => evaluate(part, variables)));
  }
  if (typeof value !== "object" || value === null) return (value ?? null) as Json;
  const fields = Object.entries(value).map(
    async ([key, field]) => [key, await evaluate(field, variables)] as const,
  );
  return Object.fromEntries(await Promise.all(fields));
}

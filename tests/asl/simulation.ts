import jsonata from "jsonata";
import type { Json, Machine, State } from "./machine.js";

/** A function: its input → its result. */
export type StepFunction = (input: Record<string, Json>) => Json;

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

/** Runs a machine whose steps all succeed. Returns the output, and the sizes of everything on the way. */
export async function simulated(
  machine: Machine,
  input: Json,
  functions: Record<string, StepFunction>,
): Promise<{ output: Json; sizes: Sized[] }> {
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
      const Payload = functions[name]?.(input) ?? null;
      states["result"] = measured("result", { ...INVOCATION, Payload });
      output = states["result"];
    } else if (state.Type === "Choice") {
      next = state.Default;
      for (const choice of state.Choices ?? []) {
        if ((await evaluated(choice["Condition"])) !== true) continue;
        next = choice.Next;
        break;
      }
    } else if (state.Type !== "Pass" && state.Type !== "Succeed") {
      throw new Error(`${name} is a ${state.Type}, which a successful execution does not reach`);
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

export function bytesOf(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** The value with the results of its expressions. */
async function evaluate(value: unknown, variables: Record<string, Json>): Promise<Json> {
  if (typeof value === "string") {
    const expression = /^\{%([^]*)%\}$/.exec(value)?.[1];
    if (expression === undefined) return value;
    const result: unknown = await jsonata(expression).evaluate({}, variables);
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

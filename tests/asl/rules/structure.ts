import { edges, type Machine, type State } from "../machine.js";
import { catchOfStale, keepsError, STALE } from "./errors.js";

const KEY_ORDER = [
  "Type",
  "Comment",
  "Resource",
  "Arguments",
  "Seconds",
  "Choices",
  "Default",
  "Error",
  "Cause",
  "Assign",
  "Output",
  "TimeoutSeconds",
  "HeartbeatSeconds",
  "Retry",
  "Catch",
  "Next",
  "End",
];

/** Checks the machine as a whole: its start, its time-out, and that every state exists and is reached. */
export function wholeMachine(machine: Machine): string[] {
  const findings: string[] = [];
  if (machine["QueryLanguage"] !== "JSONata") findings.push("QueryLanguage must be JSONata");
  if (typeof machine["Comment"] !== "string") findings.push("the machine must have a Comment");
  if (typeof machine["TimeoutSeconds"] !== "number") {
    findings.push("the machine must have a TimeoutSeconds: CDK ignores its own `timeout`");
  }
  if (machine.StartAt !== "CheckRequest") findings.push("StartAt must be CheckRequest");
  const reached = new Set([machine.StartAt]);
  for (const name of reached) {
    for (const { to } of edges(machine.States[name] ?? { Type: "" })) reached.add(to);
  }
  for (const name of reached) {
    if (!(name in machine.States))
      findings.push(`${name} is named as a next state but does not exist`);
  }
  for (const name of Object.keys(machine.States)) {
    if (!reached.has(name)) findings.push(`${name} is never reached`);
  }
  return findings;
}

/** Keys are always in the same order, so that files are easy to read and compare. */
export function keyOrder(machine: Machine): string[] {
  return Object.entries(machine.States).flatMap(([name, state]) => {
    const keys = Object.keys(state);
    const unknown = keys.filter((key) => !KEY_ORDER.includes(key));
    const sorted = [...keys].sort((a, b) => KEY_ORDER.indexOf(a) - KEY_ORDER.indexOf(b));
    if (unknown.length > 0) return [`${name} has keys that are not in KEY_ORDER: ${unknown}`];
    return sorted.join() === keys.join()
      ? []
      : [`${name} must have its keys in the order ${sorted}`];
  });
}

/** A state has the name of the function that it calls. */
export function stateNames(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) => {
    const called = state.Arguments?.FunctionName;
    if (state["Resource"] !== "arn:aws:states:::lambda:invoke") {
      return [`${name} must be a lambda:invoke`];
    }
    return called === `\${${name}FunctionArn}` ? [] : [`${name} must call \${${name}FunctionArn}`];
  });
}

/** Nothing loops without a bound: a way back is a wait or a second look-up, which the function is told about. */
export function loops(machine: Machine): string[] {
  const findings: string[] = [];
  const onward = (name: string): string[] => {
    const state = machine.States[name];
    if (state === undefined || state.Type === "Wait") return [];
    const ahead = edges(state).filter(({ error }) => error?.join() !== STALE);
    return ahead.map(({ to }) => to);
  };
  const done = new Set<string>();
  const visit = (name: string, path: string[]): void => {
    if (path.includes(name)) findings.push(`${name} can be reached from itself without a limit`);
    if (path.includes(name) || done.has(name)) return;
    for (const next of onward(name)) visit(next, [...path, name]);
    done.add(name);
  };
  visit(machine.StartAt, []);
  return findings;
}

/**
 * The same step is written the same way in every file, except for its input, its output, its assignments, its next
 * states, the state that looks the channel up, and whether the workflow goes on without what the step does.
 */
export function sameEverywhere(machines: [name: string, machine: Machine][]): string[] {
  const seen = new Map<string, [file: string, written: string]>();
  const findings: string[] = [];
  for (const [file, machine] of machines) {
    for (const [name, state] of Object.entries(machine.States)) {
      const { Arguments, Assign, Output, Choices, Catch, Next, End, ...rest } = state;
      const caught = Catch?.filter((rule) => !keepsError(rule)).map((rule) =>
        rule === catchOfStale(state) ? { ...rule, Next: "LookUp" } : rule,
      );
      const written = JSON.stringify({ ...rest, caught, FunctionName: Arguments?.FunctionName });
      const other = seen.get(name);
      if (other === undefined) seen.set(name, [file, written]);
      else if (other[1] !== written)
        findings.push(`${name} differs between ${other[0]} and ${file}`);
    }
  }
  return findings;
}

export function tasks(machine: Machine): [name: string, state: State][] {
  return Object.entries(machine.States).filter(([, state]) => state.Type === "Task");
}

import jsonata from "jsonata";
import { edges, expressions, type Machine, type State } from "../machine.js";

/** The functions that Step Functions adds to JSONata's own, and the variable `$states`. */
const BOUND = ["states", "parse", "partition", "range", "hash", "random", "uuid"];

/** Every expression parses and uses only what Step Functions supports. */
export function expressionSyntax(machine: Machine): string[] {
  return Object.entries(machine.States).flatMap(([name, state]) =>
    expressions(state, name).flatMap(([at, expression]) => {
      try {
        const names = variablesIn(expression);
        return names.includes("eval") ? [`${at}: Step Functions has no $eval`] : [];
      } catch (error) {
        return [`${at}: ${(error as Error).message}`];
      }
    }),
  );
}

/** `$states.errorOutput` exists only in a Catch, and `$states.result` only where a state has a result. */
export function reservedVariables(machine: Machine): string[] {
  return Object.entries(machine.States).flatMap(([name, state]) =>
    expressions(state, name).flatMap(([at, expression]) => {
      const field = at.slice(name.length + 1);
      const findings: string[] = [];
      if (expression.includes("$states.errorOutput") && !field.startsWith("Catch.")) {
        findings.push(`${at}: $states.errorOutput exists only in a Catch`);
      }
      const hasResult =
        ["Task", "Parallel", "Map"].includes(state.Type) && /^(Assign|Output)\b/.test(field);
      if (expression.includes("$states.result") && !hasResult) {
        findings.push(`${at}: $states.result does not exist here`);
      }
      return findings;
    }),
  );
}

/** Every variable is assigned on every path to the state that uses it. */
export function assignedVariables(machine: Machine): string[] {
  const assigned = assignedOnEntry(machine);
  return Object.entries(machine.States).flatMap(([name, state]) => {
    const known = new Set([...(assigned.get(name) ?? []), ...BOUND]);
    return expressions(state, name).flatMap(([at, expression]) =>
      safeVariablesIn(expression)
        .filter((variable) => !known.has(variable))
        .map((variable) => `${at}: $${variable} is not assigned on every path to this state`),
    );
  });
}

/** For each state, the variables that every path to it assigns. */
function assignedOnEntry(machine: Machine): Map<string, Set<string>> {
  const onEntry = new Map([[machine.StartAt, new Set<string>()]]);
  const left = [machine.StartAt];
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    const here = onEntry.get(name) ?? new Set();
    for (const { to, assigned } of edges(machine.States[name] as State)) {
      const there = onEntry.get(to);
      const arriving = new Set([...here, ...assigned]);
      const both =
        there === undefined ? arriving : new Set([...there].filter((v) => arriving.has(v)));
      if (there === undefined || both.size < there.size) {
        onEntry.set(to, both);
        if (to in machine.States) left.push(to);
      }
    }
  }
  return onEntry;
}

function safeVariablesIn(expression: string): string[] {
  try {
    return variablesIn(expression);
  } catch {
    return [];
  }
}

/** The variables and functions that an expression names, without those in `JSONATA_FUNCTIONS`. */
function variablesIn(expression: string): string[] {
  const names = new Set<string>();
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== "object") return;
    const { type, value } = node as { type?: string; value?: unknown };
    if (type === "variable" && typeof value === "string") names.add(value);
    Object.values(node).forEach(visit);
  };
  visit(jsonata(expression).ast());
  return [...names].filter((name) => name !== "" && !JSONATA_FUNCTIONS.includes(name));
}

/** The JSONata functions that the workflows use. `$eval` is missing, because Step Functions does not have it. */
const JSONATA_FUNCTIONS = [
  "append",
  "count",
  "exists",
  "lookup",
  "merge",
  "not",
  "string",
  "sum",
  "toMillis",
];

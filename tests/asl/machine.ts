import * as fs from "node:fs";
import * as path from "node:path";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Rule {
  ErrorEquals: string[];
  Assign?: Record<string, Json>;
  Next?: string;
  [field: string]: Json | undefined;
}

export interface State {
  Type: string;
  Next?: string;
  Arguments?: { FunctionName?: string; Payload?: Json };
  Assign?: Record<string, Json>;
  Retry?: Rule[];
  Catch?: Rule[];
  Choices?: { Next: string; [field: string]: Json }[];
  Default?: string;
  TimeoutSeconds?: number;
  [field: string]: unknown;
}

export interface Machine {
  StartAt: string;
  States: Record<string, State>;
  TimeoutSeconds?: number;
  [field: string]: unknown;
}

const FOLDER = path.join(import.meta.dirname, "../../statemachines");

/** Every ASL file: its name, its path and its text. */
export function machineFiles(): [name: string, file: string, text: string][] {
  const names = fs.readdirSync(FOLDER).filter((name) => name.endsWith(".asl.json"));
  return names.sort().map((name) => {
    const file = path.join(FOLDER, name);
    return [name, file, fs.readFileSync(file, "utf8")];
  });
}

/** A transition to the state `to` that assigns these variables. With `error`, it is taken on these errors. */
export interface Edge {
  to: string;
  assigned: string[];
  error?: string[];
}

export function edges(state: State): Edge[] {
  const names = (assign: Record<string, Json> | undefined) => Object.keys(assign ?? {});
  const out: Edge[] = [];
  const add = (to: string | undefined, assigned: string[], error?: string[]) => {
    if (to !== undefined) out.push({ to, assigned, ...(error && { error }) });
  };
  add(state.Next, names(state.Assign));
  add(state.Default, names(state.Assign));
  for (const choice of state.Choices ?? []) {
    add(choice.Next, names((choice["Assign"] as Record<string, Json> | undefined) ?? state.Assign));
  }
  for (const rule of state.Catch ?? []) add(rule.Next, names(rule.Assign), rule.ErrorEquals);
  return out;
}

/** The JSONata expressions in a value, each with its path. */
export function expressions(value: unknown, at: string): [at: string, expression: string][] {
  if (typeof value === "string") {
    const inside = /^\{%([^]*)%\}$/.exec(value)?.[1];
    return inside === undefined ? [] : [[at, inside]];
  }
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, field]) => expressions(field, `${at}.${key}`));
}

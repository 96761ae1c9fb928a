import * as fs from "node:fs";
import * as path from "node:path";
import { requestAndOutcome, schemasOf, types } from "./fields.js";
import { edges, machineFiles, type Machine, type State } from "./machine.js";

export const DRAWING = path.join(import.meta.dirname, "../../docs/workflows.md");

const HEAD = `# The workflows

What does each workflow do, what does it take, and what does it return?

\`npm run draw\` in \`tests/asl\` generates this page from \`statemachines/\` and [\`schemas/\`](schemas);
\`cargo xtask schemas\` generates the schemas from the Rust types. Tests check that all of them agree.

A dotted arrow is an error that a state catches. Transient errors are retried first, which is not drawn. Any other
error without an arrow fails the execution at that state, and a redrive continues from there. A field with a question mark is optional.
`;

/**
 * The text of docs/workflows.md: for each workflow a picture, drawn from its file, and its fields, from its
 * schemas. `npm run draw` writes the page.
 */
export function drawing(): string {
  const workflows = machineFiles().map(([name, , text]) => ({
    machine: JSON.parse(text) as Machine,
    schemas: schemasOf(name.replace(".asl.json", "")),
  }));
  const sections = workflows.map(({ machine, schemas }) => {
    const comment = machine["Comment"] as string;
    return [
      `## ${schemas.workflow}`,
      comment,
      `The happy path:\n\n${happyPath(machine)}`,
      `With waits and caught errors:\n\n${picture(machine)}`,
      `${requestAndOutcome(schemas)}\n`,
    ].join("\n\n");
  });
  const all = workflows.map(({ schemas }) => schemas);
  return [HEAD, ...sections, `## Types\n\n${types(all)}\n`].join("\n");
}

/** The states of an execution that waits for nothing and catches no error. */
function happyPath(machine: Machine): string {
  const path: string[] = [];
  for (let name: string | undefined = machine.StartAt; name !== undefined;) {
    path.push(name);
    const state: State | undefined = machine.States[name];
    name = state?.Next ?? state?.Choices?.[0]?.Next;
  }
  return ["```mermaid", "flowchart LR", `  ${path.join(" --> ")}`, "```"].join("\n");
}

function picture(machine: Machine): string {
  const lines = ["```mermaid", "flowchart TD", `  start((start)) --> ${machine.StartAt}`];
  for (const [name, state] of Object.entries(machine.States)) {
    const [open, close] = { Wait: ["([", "])"], Fail: ["{{", "}}"], Choice: ["{", "}"] }[
      state.Type
    ] ?? ["[", "]"];
    lines.push(`  ${name}${open}${name}${close}`);
    for (const { to, error } of edges(state)) {
      lines.push(error ? `  ${name} -. "${error.join("<br/>")}" .-> ${to}` : `  ${name} --> ${to}`);
    }
    if (state["End"] === true || state.Type === "Succeed") lines.push(`  ${name} --> done((done))`);
  }
  return [...lines, "```"].join("\n");
}

if (process.argv[1] === import.meta.filename) fs.writeFileSync(DRAWING, drawing());

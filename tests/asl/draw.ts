import * as fs from "node:fs";
import * as path from "node:path";
import { requestAndOutcome, schemasOf, types } from "./fields.js";
import { edges, machineFiles, type Machine } from "./machine.js";

export const DRAWING = path.join(import.meta.dirname, "../../docs/workflows.md");

const HEAD = `# The workflows

Drawn by \`npm run draw\` in \`tests/asl\` from \`statemachines/\` and [\`schemas/\`](schemas), which
\`cargo xtask schemas\` writes from the Rust types; tests hold all of them together. A dotted arrow is an
error that a state catches. An error that no arrow names fails its state, so that a redrive goes on from
it. A field with a question mark may be left out.
`;

/**
 * A page with every workflow: its picture, drawn from its file, and its fields, from its schemas.
 * `npm run draw` writes it.
 */
export function drawing(): string {
  const workflows = machineFiles().map(([name, , text]) => ({
    machine: JSON.parse(text) as Machine,
    schemas: schemasOf(name.replace(".asl.json", "")),
  }));
  const sections = workflows.map(({ machine, schemas }) => {
    const comment = machine["Comment"] as string;
    return `## ${schemas.workflow}\n\n${comment}\n\n${picture(machine)}\n\n${requestAndOutcome(schemas)}\n`;
  });
  const all = workflows.map(({ schemas }) => schemas);
  return [HEAD, ...sections, `## Types\n\n${types(all)}\n`].join("\n");
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

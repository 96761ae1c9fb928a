import * as fs from "node:fs";
import * as path from "node:path";
import { edges, machineFiles, type Machine } from "./machine.js";

export const DRAWING = path.join(import.meta.dirname, "../../docs/workflows.md");

/** A page with a picture of every workflow, drawn from its file. `npm run draw` writes it. */
export function drawing(): string {
  const sections = machineFiles().map(([name, , text]) => {
    const machine = JSON.parse(text) as Machine;
    return `## ${name.replace(".asl.json", "")}\n\n${machine["Comment"] as string}\n\n${picture(machine)}\n`;
  });
  const head =
    "# The workflows\n\nDrawn from `statemachines/` by `npm run draw` in `tests/asl`; a test holds the two together.\n" +
    "Dotted arrows are errors that a state catches. An error that no arrow names fails its state, so\n" +
    "that a redrive goes on from it.\n";
  return [head, ...sections].join("\n");
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

import * as fs from "node:fs";
import { machineFiles } from "./machine.js";

/** The format of every ASL file: two spaces, one field per line. `npm run format` applies it. */
export function formatted(text: string): string {
  return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
}

if (process.argv[1] === import.meta.filename) {
  for (const [, file, text] of machineFiles()) fs.writeFileSync(file, formatted(text));
}

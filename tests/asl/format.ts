import * as fs from "node:fs";
import { machineFiles } from "./machine.js";

/** Two spaces, one field a line: how every ASL file is written. `npm run format` does it. */
export function formatted(text: string): string {
  return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
}

if (process.argv[1] === import.meta.filename) {
  for (const [, file, text] of machineFiles()) fs.writeFileSync(file, formatted(text));
}

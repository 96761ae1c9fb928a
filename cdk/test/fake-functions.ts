import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** The crates in `functions/`. */
export const FUNCTIONS = fs.readdirSync(path.join(import.meta.dirname, "../../functions")).sort();

/** The functions that the MPC service's stack deploys. */
export const HANDLERS = FUNCTIONS.filter((crate) => crate.startsWith("mpc-"));
/** The functions in the background: no workflow and no caller outside calls them. */
export const BACKGROUND = ["record-outcome", "sweep-reminders", "watch-executions"];
/** The steps of the workflows. */
export const STEPS = FUNCTIONS.filter((crate) => ![...HANDLERS, ...BACKGROUND].includes(crate));

/** A folder that looks like the output of the Lambda build, for tests that need no real code. */
export function fakeFunctionsDir(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "apgl-functions-"));
  for (const name of FUNCTIONS) {
    fs.mkdirSync(path.join(folder, name));
    fs.writeFileSync(path.join(folder, name, "bootstrap"), "#!/bin/sh\n");
  }
  return folder;
}

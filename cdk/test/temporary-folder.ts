import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** Each synthesis writes a folder into the temporary one. All of them are in one that goes when the tests end. */
export default function setup(): () => void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "apgl-cdk-tests-"));
  process.env["TMPDIR"] = folder;
  return () => {
    fs.rmSync(folder, { recursive: true, force: true });
  };
}

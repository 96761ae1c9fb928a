import * as fs from "node:fs";
import * as path from "node:path";
import { allOf, DEPLOYMENTS_ANYWHERE } from "./deployment.js";

// Writes the templates of all stacks of all these deployments into a folder, for cfn-lint. Equal ones are written once.
const [, , folder = "cdk.out"] = process.argv;
const written = new Set<string>();
for (const [deployment, context] of DEPLOYMENTS_ANYWHERE) {
  for (const [n, template] of allOf(context).entries()) {
    const text = JSON.stringify(template.toJSON(), null, 1);
    if (written.has(text)) continue;
    written.add(text);
    const name = `${deployment.replaceAll(/\W+/g, "-")}-${String(n)}.template.json`;
    fs.writeFileSync(path.join(folder, name), text);
  }
}

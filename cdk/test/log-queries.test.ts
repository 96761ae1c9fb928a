import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { workflowFiles } from "../lib/workflow.js";
import { templatesOf } from "./deployment.js";
import { BACKGROUND, STEPS } from "./fake-functions.js";
import { resourcesOf, written } from "./template.js";

const template = templatesOf().notifications;
const queries = new Map(
  resourcesOf(template, "AWS::Logs::QueryDefinition").map(([, { Properties }]) => [
    Properties["Name"] as string,
    {
      text: Properties["QueryString"] as string,
      groups: (Properties["LogGroupNames"] as unknown[]).map(written).sort(),
    },
  ]),
);
const queryOf = (name: string) => {
  const query = queries.get(name);
  if (query === undefined) throw new Error(`there is no query ${name}`);
  return query;
};

const logsOf = (ids: string[]) => ids.map((id) => `${id}Logs`).sort();
const FUNCTIONS = [...STEPS, ...BACKGROUND].map((crate) =>
  crate.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
);

const source = (file: string) =>
  fs.readFileSync(path.join(import.meta.dirname, "../..", file), "utf8");

describe("saved queries", () => {
  it("are these three, in the folder of the deployment's prefix", () => {
    expect([...queries.keys()].sort()).toEqual([
      "apgl/failures",
      "apgl/one run",
      "apgl/slack limits",
    ]);
    const other = resourcesOf(
      templatesOf({ prefix: "other" }).notifications,
      "AWS::Logs::QueryDefinition",
    );
    for (const [, { Properties }] of other) expect(Properties["Name"]).toMatch(/^other\//);
  });

  it("follow one run through every function and every workflow, in chronological order", () => {
    const { text, groups } = queryOf("apgl/one run");
    expect(groups).toEqual(logsOf([...FUNCTIONS, ...workflowFiles().keys()]));
    // The field for the execution in a function's log line, and in Step Functions' own log line.
    expect(text).toMatch(/filter executionId = "(.*)" or execution_arn = "\1"/);
    expect(text).toContain("sort @timestamp asc");
  });

  it.each(["apgl/failures", "apgl/slack limits"])("look for %s in every function", (name) => {
    expect(queryOf(name).groups).toEqual(logsOf(FUNCTIONS));
  });

  it("name at most as many log groups as AWS allows", () => {
    for (const { groups } of queries.values()) expect(groups.length).toBeLessThanOrEqual(50);
  });

  it("ask for fields that the functions write", () => {
    const written = [
      [
        "lib/runtime/src/run.rs",
        ["executionId =", "step =", "error.name =", "error.reason =", "slack.error ="],
      ],
      ["lib/slack/src/client.rs", ["slack.method =", "slack.retryAfter ="]],
    ] as const;
    const asked = [...queries.values()].map(({ text }) => text).join("\n");
    for (const [file, fields] of written) {
      for (const field of fields) {
        expect(source(file)).toContain(field);
        expect(asked).toContain(field.replace(" =", ""));
      }
    }
  });

  it("find Slack's refusals by the text that the client logs", () => {
    const words = /message = (".*")/.exec(queryOf("apgl/slack limits").text)?.[1] ?? "nothing";
    expect(source("lib/slack/src/client.rs")).toContain(words);
  });
});

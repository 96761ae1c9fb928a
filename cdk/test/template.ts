import type { Template } from "aws-cdk-lib/assertions";

/** What a policy says. */
export interface Statement {
  Action: string | string[];
  Resource: unknown;
  Condition?: unknown;
}

export interface Resource {
  Properties: Record<string, unknown>;
}

export const asList = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** The statements of the role whose logical id starts with `owner`, whatever policy they stand in. */
export function statementsOf(template: Template, owner: string): Statement[] {
  const policies = Object.values(template.findResources("AWS::IAM::Policy")) as Resource[];
  return policies
    .filter((policy) => JSON.stringify(policy.Properties["Roles"]).includes(`"${owner}Role`))
    .flatMap(
      (policy) => (policy.Properties["PolicyDocument"] as { Statement: Statement[] }).Statement,
    );
}

/** The template without what a build of the functions changes. */
export function masked(template: Template): unknown {
  const text = JSON.stringify(template.toJSON(), null, 2)
    .replace(/[a-f0-9]{64}/g, "ASSET")
    .replace(/(CurrentVersion[A-F0-9]{8})[a-f0-9]{32}/g, "$1VERSION");
  return JSON.parse(text);
}

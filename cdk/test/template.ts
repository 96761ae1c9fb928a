import type { Template } from "aws-cdk-lib/assertions";

/** A statement of a policy. */
export interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: unknown;
  Condition?: Record<string, Record<string, unknown>>;
}

export interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
  DependsOn?: string | string[];
  DeletionPolicy?: string;
  UpdateReplacePolicy?: string;
  UpdatePolicy?: unknown;
}

export const asList = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** The resources of a type, by logical id. */
export function resourcesOf(template: Template, type: string): [string, Resource][] {
  return Object.entries(template.findResources(type)) as [string, Resource][];
}

/** All resources, by logical id. */
export function allResourcesOf(template: Template): Map<string, Resource> {
  const { Resources } = template.toJSON() as { Resources: Record<string, Resource> };
  return new Map(Object.entries(Resources));
}

/** The number of resources of each type in a template. */
export function typesOf(template: Template): Record<string, number> {
  const types = [...allResourcesOf(template).values()].map(({ Type }) => Type).sort();
  return types.reduce<Record<string, number>>(
    (counts, type) => ({ ...counts, [type]: (counts[type] ?? 0) + 1 }),
    {},
  );
}

/** The statements of a policy resource. */
export function statementsIn({ Properties }: Resource): Statement[] {
  return (Properties["PolicyDocument"] as { Statement: Statement[] }).Statement;
}

/** The statements of the role whose logical id starts with `owner`, from all its policies. */
export function statementsOf(template: Template, owner: string): Statement[] {
  return resourcesOf(template, "AWS::IAM::Policy")
    .filter(([, { Properties }]) => JSON.stringify(Properties["Roles"]).includes(`"${owner}Role`))
    .flatMap(([, policy]) => statementsIn(policy));
}

/** What the role may do: resource → actions. Resources are in the form that `written` returns. */
export function grantsOf(template: Template, owner: string): Record<string, string[]> {
  const grants: Record<string, string[]> = {};
  for (const { Effect, Action, Resource } of statementsOf(template, owner)) {
    if (Effect !== "Allow") throw new Error(`${owner} has a statement that does not allow`);
    for (const resource of asList(Resource).map(written)) {
      grants[resource] = [...(grants[resource] ?? []), ...asList(Action)].sort();
    }
  }
  return grants;
}

/** Resolves CloudFormation's functions to text: a reference becomes the construct's name, and joins are joined. */
export function written(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const [[intrinsic, argument] = [], ...more] = Object.entries(value as Record<string, unknown>);
  if (more.length === 0) {
    if (intrinsic === "Ref") return withoutHash(argument as string);
    if (intrinsic === "Fn::GetAtt") return withoutHash((argument as string[])[0] ?? "");
    if (intrinsic === "Fn::Join") {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map(written).join(separator);
    }
  }
  return JSON.stringify(value);
}

function withoutHash(logicalId: string): string {
  return logicalId.replace(/^AWS::(\w+)$/, "<$1>").replace(/[0-9A-F]{8}$/, "");
}

/** The template without the hashes that change with every build of the functions. */
export function masked(template: Template): unknown {
  const text = JSON.stringify(template.toJSON(), null, 2)
    .replace(/[a-f0-9]{64}/g, "ASSET")
    .replace(/(CurrentVersion[A-F0-9]{8})[a-f0-9]{32}/g, "$1VERSION");
  return JSON.parse(text);
}

import { describe, expect, it } from "vitest";
import { allOf, DEPLOYMENTS_ANYWHERE } from "./deployment.js";
import { allResourcesOf, asList, resourcesOf, type Resource } from "./template.js";

type Resources = ReadonlyMap<string, Resource>;

/** A policy in a resource of its own, which CloudFormation creates after the role. */
const POLICIES = ["AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"];

/** The logical ids that a part of a template refers to. */
function references(part: unknown): string[] {
  if (typeof part !== "object" || part === null) return [];
  return Object.entries(part).flatMap(([key, value]) => {
    if (key === "Ref") return [value as string];
    if (key === "Fn::GetAtt") return [(value as string[])[0] ?? ""];
    if (key === "Fn::Sub") {
      const names = JSON.stringify(value).matchAll(/\$\{(\w+)/g);
      return [...names].map(([, name]) => name ?? "").concat(references(value));
    }
    return references(value);
  });
}

/**
 * The resources that exist before this one: those that it refers to or names in `DependsOn`, and those that
 * they need. CloudFormation also counts a reference in `UpdatePolicy`, with which an alias names the
 * deployment group that updates it (aws/aws-cdk#2231).
 */
function before(id: string, resources: Resources, known = new Set<string>()): Set<string> {
  const resource = resources.get(id);
  if (resource === undefined) return known;
  for (const next of [...references(resource), ...asList(resource.DependsOn ?? [])]) {
    if (resources.has(next) && !known.has(next)) before(next, resources, known.add(next));
  }
  return known;
}

/** What refers to a role and may be created before one of the role's policies. */
function tooEarly(resources: Resources): string[] {
  const policies = [...resources].filter(([, { Type }]) => POLICIES.includes(Type));
  const others = [...resources].filter(([, { Type }]) => !POLICIES.includes(Type));
  return policies.flatMap(([policy, { Properties }]) =>
    references([Properties["Roles"], Properties["RoleName"]]).flatMap((role) =>
      others
        .filter(([, other]) => references(other).includes(role))
        .filter(([id]) => !before(id, resources).has(policy))
        .map(([id]) => `${id} uses ${role} before ${policy}`),
    ),
  );
}

describe("the order of creation", () => {
  it.each(DEPLOYMENTS_ANYWHERE)(
    "in %s lets nothing use a role before the role has its policies",
    (_, context) => {
      for (const template of allOf(context)) {
        expect(resourcesOf(template, "AWS::IAM::Policy")).not.toEqual([]);
        expect(tooEarly(allResourcesOf(template))).toEqual([]);
      }
    },
  );

  it("lets a resource use a role if the resource, or one that it needs, waits for the policy", () => {
    const user = (DependsOn: string[] = []): Resource => ({
      Type: "AWS::CodeDeploy::DeploymentGroup",
      Properties: { ServiceRoleArn: { "Fn::GetAtt": ["Role", "Arn"] } },
      DependsOn,
    });
    const resources = new Map<string, Resource>([
      ["Role", { Type: "AWS::IAM::Role", Properties: {} }],
      ["Policy", { Type: "AWS::IAM::Policy", Properties: { Roles: [{ Ref: "Role" }] } }],
      ["Waits", user(["Policy"])],
      ["WaitsForWaits", user(["Waits"])],
      ["Early", user()],
      ["WaitsForEarly", user(["Early"])],
    ]);
    expect(tooEarly(resources)).toEqual([
      "Early uses Role before Policy",
      "WaitsForEarly uses Role before Policy",
    ]);
  });
});

import * as fs from "node:fs";
import * as path from "node:path";
import { CfnResource, Stack, Validations, type App } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { describe, expect, it, vi } from "vitest";
import { appOf, DEPLOYMENTS, stacksOf } from "./deployment.js";

interface Finding {
  ruleName: string;
  violatingConstructs: { constructPath: string }[];
  acknowledgedAt?: string;
  reason?: string;
}

interface PluginReport {
  pluginName: string;
  violations: Finding[];
  suppressedViolations?: Finding[];
}

/** The reports of the plug-ins. An error that is not acknowledged fails the synthesis. */
function reportsOf(app: App): PluginReport[] {
  const file = path.join(app.synth().directory, "validation-report.json");
  const { pluginReports } = JSON.parse(fs.readFileSync(file, "utf8")) as {
    pluginReports: PluginReport[];
  };
  return pluginReports;
}

function reportOf(app: App): PluginReport {
  const ours = reportsOf(app).find(({ pluginName }) => pluginName === "AwsSolutions");
  if (ours === undefined) throw new Error("the rules of AWS Solutions were not checked");
  return ours;
}

/** All acknowledged findings: "construct: rule" → reason. */
function acknowledgements(app: App): Map<string, string> {
  const found = app.node.findAll().flatMap(({ node }) =>
    node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) => Object.entries(data as Record<string, string>))
      .map(([rule, reason]): [string, string] => [
        `${node.path}: ${rule.replace("AwsSolutions::", "")}`,
        reason,
      ]),
  );
  return new Map(found);
}

describe("the rules of AWS Solutions", () => {
  it.each(DEPLOYMENTS)("find nothing unacknowledged in %s", (_, context) => {
    expect(reportOf(appOf(context)).violations).toEqual([]);
  });

  it.each(DEPLOYMENTS)("find everything in %s that is acknowledged", (_, context) => {
    const app = appOf(context);
    const acknowledged = [...acknowledgements(app).keys()];
    const found = reportOf(app).suppressedViolations ?? [];
    const where = found.map(
      ({ acknowledgedAt, ruleName }) => `${acknowledgedAt ?? ""}: ${ruleName}`,
    );
    expect(where.sort()).toEqual(acknowledged.sort());
  });

  it("are acknowledged at one construct each, with a reason", () => {
    const app = appOf();
    const found = reportOf(app).suppressedViolations ?? [];
    expect(found.length).toBeGreaterThan(0);
    const whole = ["", ...stacksOf(app).map(({ node }) => node.path)];
    for (const { acknowledgedAt, violatingConstructs, reason } of found) {
      expect(whole).not.toContain(acknowledgedAt);
      expect(violatingConstructs).toHaveLength(1);
      expect(reason).toMatch(/\w+ \w+ \w+/);
    }
  });

  it("are acknowledged only for these findings", () => {
    const rules = new Set(
      (reportOf(appOf()).suppressedViolations ?? []).map(({ ruleName }) =>
        ruleName.replace(/:execution:apgl-[a-z-]+:\*/, ":execution:<workflow>:*"),
      ),
    );
    expect([...rules].sort()).toEqual([
      "AwsSolutions-IAM5[Resource::*]",
      "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:<workflow>:*]",
      "AwsSolutions-SMG4",
      "AwsSolutions-SQS3",
    ]);
  });

  it.each(["prod", "dev"])(
    "stop the synthesis in %s if a role may do everything",
    (environment) => {
      const app = appOf({ environment });
      new Role(new Stack(app, "Wide"), "Role", {
        assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      }).addToPolicy(new PolicyStatement({ actions: ["*"], resources: ["*"] }));
      expect(() => app.synth()).toThrow(/AwsSolutions-IAM5\[Action::\*\]/);
    },
  );

  it("stop the synthesis if one of our own roles gets another wildcard", () => {
    const app = appOf();
    const role = app.node
      .findAll()
      .find(
        (one) => one instanceof Role && one.node.path === "apgl-notifications/PostMessage/Role",
      );
    if (!(role instanceof Role)) throw new Error("there is no such role");
    role.addToPolicy(new PolicyStatement({ actions: ["dynamodb:*"], resources: ["*"] }));
    expect(() => app.synth()).toThrow(/AwsSolutions-IAM5\[Action::dynamodb:\*\]/);
  });

  it("stop the synthesis if a queue accepts connections without TLS", () => {
    const app = appOf();
    for (const stack of stacksOf(app)) new Queue(stack, "Open");
    expect(() => app.synth()).toThrow(/AwsSolutions-SQS4/);
  });

  it("are not checked on the local stack, which is not an account", () => {
    expect(() => reportOf(appOf({ environment: "local" }))).toThrow();
  });
});

describe("CloudFormation's schemas", () => {
  /** CDK reports these findings as warnings. */
  const findings = (app: App) => {
    vi.stubEnv("CDK_VALIDATION", "true");
    const stderr = vi.spyOn(console, "error").mockReturnValue();
    try {
      return reportsOf(app).flatMap(({ violations }) => violations.map(({ ruleName }) => ruleName));
    } finally {
      vi.unstubAllEnvs();
      stderr.mockRestore();
    }
  };

  it.each(DEPLOYMENTS)("find nothing in %s", (_, context) => {
    expect(findings(appOf(context))).toEqual([]);
  });

  it("find a property that does not exist", () => {
    const app = appOf();
    const [stack] = stacksOf(app);
    if (stack === undefined) throw new Error("there is no stack");
    new CfnResource(stack, "Broken", {
      type: "AWS::Logs::LogGroup",
      properties: { RetentionInDays: 7, Nonsense: 1 },
    });
    expect(findings(app)).toContain("F3002");
  });
});

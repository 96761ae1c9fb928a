import { Match } from "aws-cdk-lib/assertions";
import { describe, expect, it } from "vitest";
import { workflowFiles } from "../lib/workflow.js";
import { allOf, templatesOf } from "./deployment.js";
import { resourcesOf, typesOf, written } from "./template.js";

const ALIAS = "AWS::Lambda::Alias";
const GROUP = "AWS::CodeDeploy::DeploymentGroup";
const MACHINE_VERSION = "AWS::StepFunctions::StateMachineVersion";
const MACHINE_ALIAS = "AWS::StepFunctions::StateMachineAlias";

const WORKFLOWS = [...workflowFiles().keys()];

/** Deployments whose releases get all calls at once, with and without alarms. */
const AT_ONCE = [
  { environment: "dev" },
  { environment: "dev", alarms: true },
  { environment: "prod", gradualShift: false },
];

describe("a function's release", () => {
  it("in production gets a tenth of the calls for ten minutes, and is rolled back if the function fails", () => {
    for (const template of allOf()) {
      const aliases = resourcesOf(template, ALIAS);
      expect(resourcesOf(template, GROUP)).toHaveLength(aliases.length);
      for (const [id, { UpdatePolicy }] of aliases) {
        const owner = id.replace(/Live[0-9A-F]{8}$/, "");
        expect(UpdatePolicy).toEqual({
          CodeDeployLambdaAliasUpdate: {
            ApplicationName: { Ref: expect.stringMatching(/^Releases/) as string },
            DeploymentGroupName: { Ref: expect.stringMatching(`^${owner}Release`) as string },
          },
        });
        const [[, group] = []] = resourcesOf(template, GROUP).filter(([groupId]) =>
          groupId.startsWith(`${owner}Release`),
        );
        expect(group?.Properties).toMatchObject({
          DeploymentConfigName: "CodeDeployDefault.LambdaCanary10Percent10Minutes",
          AlarmConfiguration: {
            Enabled: true,
            Alarms: [{ Name: { Ref: expect.stringMatching(`^Alarms${owner}Errors`) as string } }],
          },
          AutoRollbackConfiguration: {
            Enabled: true,
            Events: ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
          },
          DeploymentStyle: {
            DeploymentOption: "WITH_TRAFFIC_CONTROL",
            DeploymentType: "BLUE_GREEN",
          },
        });
      }
    }
  });

  it.each(AT_ONCE)("of %j gets all calls at once", (context) => {
    for (const template of allOf(context)) {
      template.resourceCountIs(GROUP, 0);
      template.resourceCountIs("AWS::CodeDeploy::Application", 0);
      template.resourcePropertiesCountIs(
        "AWS::IAM::Role",
        { ManagedPolicyArns: Match.anyValue() },
        0,
      );
      for (const [, { UpdatePolicy }] of resourcesOf(template, ALIAS)) {
        expect(UpdatePolicy).toBeUndefined();
      }
    }
  });

  it.each(["prod", "dev", "local"])(
    "in %s is a version to which the alias live points",
    (environment) => {
      for (const template of allOf({ environment })) {
        const versions = resourcesOf(template, "AWS::Lambda::Version").map(([id]) => id);
        const aliases = resourcesOf(template, ALIAS);
        expect(versions).toHaveLength(aliases.length);
        for (const [, { Properties }] of aliases) {
          expect(Properties["Name"]).toBe("live");
          const version = Properties["FunctionVersion"] as { "Fn::GetAtt": [string, string] };
          expect(versions).toContain(version["Fn::GetAtt"][0]);
        }
      }
    },
  );

  it("keeps the previous version in production, for a rollback", () => {
    for (const template of allOf()) {
      template.allResources("AWS::Lambda::Version", { UpdateReplacePolicy: "Retain" });
    }
    for (const template of allOf({ environment: "dev" })) {
      template.allResources("AWS::Lambda::Version", { UpdateReplacePolicy: "Delete" });
    }
  });
});

describe("a workflow's release", () => {
  it.each(WORKFLOWS)(
    "of %s in production gets a tenth of the starts, and is rolled back if executions fail",
    (id) => {
      const template = templatesOf().notifications;
      const [[, alias] = []] = resourcesOf(template, MACHINE_ALIAS).filter(([logicalId]) =>
        logicalId.startsWith(`${id}Live`),
      );
      expect(alias?.Properties).toMatchObject({
        Name: "live",
        DeploymentPreference: {
          Type: "CANARY",
          Percentage: 10,
          Interval: 10,
          StateMachineVersionArn: { Ref: expect.stringMatching(`^${id}Version`) as string },
        },
      });
      const preference = alias?.Properties["DeploymentPreference"] as { Alarms: unknown[] };
      expect(preference.Alarms.map(written).sort()).toEqual([
        `Alarms${id}SystemFailed`,
        `Alarms${id}TimedOut`,
      ]);
    },
  );

  it.each(AT_ONCE)("of %j gets all starts at once", (context) => {
    const template = templatesOf(context).notifications;
    template.resourceCountIs(MACHINE_ALIAS, WORKFLOWS.length);
    template.allResourcesProperties(MACHINE_ALIAS, {
      DeploymentPreference: {
        Type: "ALL_AT_ONCE",
        Percentage: Match.absent(),
        Interval: Match.absent(),
        Alarms: Match.absent(),
      },
    });
  });

  it.each(["prod", "dev"])(
    "in %s has its own version, which is kept for the executions that run on it",
    (environment) => {
      const template = templatesOf({ environment }).notifications;
      template.resourceCountIs(MACHINE_VERSION, WORKFLOWS.length);
      template.allResources(MACHINE_VERSION, {
        DeletionPolicy: "Retain",
        UpdateReplacePolicy: "Retain",
      });
      for (const id of WORKFLOWS) {
        const machine = Match.stringLikeRegexp(`^${id}StateMachine`);
        template.hasResourceProperties(MACHINE_VERSION, {
          StateMachineArn: { Ref: machine },
          StateMachineRevisionId: { "Fn::GetAtt": [machine, "StateMachineRevisionId"] },
        });
      }
    },
  );
});

describe("the local stack", () => {
  it("gets no resources that it does not support", () => {
    const lacks = [
      MACHINE_VERSION,
      MACHINE_ALIAS,
      GROUP,
      "AWS::CodeDeploy::Application",
      "AWS::CloudWatch::CompositeAlarm",
      "AWS::Logs::QueryDefinition",
    ];
    for (const template of allOf({ environment: "local" })) {
      expect(lacks.filter((type) => type in typesOf(template))).toEqual([]);
    }
    // It has EventBridge Scheduler, also in CloudFormation.
    expect(typesOf(templatesOf({ environment: "local" }).notifications)).toMatchObject({
      "AWS::Scheduler::Schedule": 1,
    });
    expect(typesOf(templatesOf().notifications)).toMatchObject({ [GROUP]: 21 });
  });

  it("has callers and outputs that name the state machines, where AWS has the alias", () => {
    const aliases = (environment: string) =>
      resourcesOf(templatesOf({ environment }).handlers, "AWS::Lambda::Function").map(
        ([, { Properties }]) =>
          (Properties["Environment"] as { Variables: Record<string, unknown> }).Variables[
            "APGL_STATE_MACHINE_ALIAS"
          ],
      );
    const outputs = (environment: string) =>
      WORKFLOWS.map((id) => {
        const [output] = Object.values(
          templatesOf({ environment }).notifications.findOutputs(`${id}Arn`),
        ) as { Value: unknown }[];
        return written(output?.Value);
      });
    expect(new Set(aliases("local"))).toEqual(new Set([undefined]));
    expect(outputs("local")).toEqual(WORKFLOWS.map((id) => `${id}StateMachine`));
    for (const environment of ["prod", "dev"]) {
      expect(new Set(aliases(environment))).toEqual(new Set(["live"]));
      expect(outputs(environment)).toEqual(WORKFLOWS.map((id) => `${id}Live`));
    }
  });
});

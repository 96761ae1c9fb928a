import { CliCredentialsStackSynthesizer } from "aws-cdk-lib";
import { describe, expect, it } from "vitest";
import { appOf, KEY, stacksOf, type Context } from "./deployment.js";

const stacksIn = (context: Context) => stacksOf(appOf(context));

describe("the app", () => {
  it("has a stack for the workflows, and one for the handlers, which is deployed after it", () => {
    const [notifications, handlers, ...more] = stacksIn({ prefix: "other" });
    expect(notifications?.stackName).toBe("other-notifications");
    expect(handlers?.stackName).toBe("other-mpc-handlers");
    expect(handlers?.dependencies).toEqual([notifications]);
    expect(more).toEqual([]);
  });

  it("leaves out the handlers if the settings say so", () => {
    const names = stacksIn({ mpcHandlers: "false" }).map(({ stackName }) => stackName);
    expect(names).toEqual(["apgl-notifications"]);
  });

  it.each([
    ["prod", true],
    ["dev", false],
    ["local", false],
  ])("in %s has stacks with termination protection %s", (environment, isProtected) => {
    const stacks = stacksIn({ environment });
    expect(stacks.map(({ terminationProtection }) => terminationProtection)).toEqual([
      isProtected,
      isProtected,
    ]);
  });

  it.each(["prod", "dev", "local"])(
    "in %s tags every stack with the environment",
    (environment) => {
      for (const stack of stacksIn({ environment })) {
        expect(stack.tags.tagValues()).toEqual({ application: "apgl-notifications", environment });
      }
    },
  );

  it("is deployed to the account and region of an existing key, or anywhere without one", () => {
    for (const { account, region } of stacksIn({ kmsKeyArn: KEY })) {
      expect([account, region]).toEqual(["123456789012", "eu-central-1"]);
    }
    const [, , , , account] = KEY.split(":");
    for (const stack of stacksIn({})) expect(stack.account).not.toBe(account);
  });

  it("needs no bootstrap on the local stack, whose IAM does not let a bootstrap role read the assets", () => {
    const synthesizersOf = (environment: string) =>
      stacksIn({ environment }).map(({ synthesizer }) => synthesizer);
    for (const synthesizer of synthesizersOf("local")) {
      expect(synthesizer).toBeInstanceOf(CliCredentialsStackSynthesizer);
    }
    for (const synthesizer of synthesizersOf("prod")) {
      expect(synthesizer).not.toBeInstanceOf(CliCredentialsStackSynthesizer);
    }
  });
});

import { Stack } from "aws-cdk-lib";
import { describe, expect, it } from "vitest";
import { buildApp } from "../lib/app.js";
import { fakeFunctionsDir } from "./fake-functions.js";

const functionsDir = fakeFunctionsDir();

const stacksOf = (context: Record<string, unknown>) =>
  buildApp({ functionsDir, ...context }).node.children.filter((child) => Stack.isStack(child));

describe("the app", () => {
  it("has a stack for the workflows, and one for the handlers, which is deployed after it", () => {
    const [notifications, handlers, ...more] = stacksOf({ prefix: "other" });
    expect(notifications?.stackName).toBe("other-notifications");
    expect(handlers?.stackName).toBe("other-mpc-handlers");
    expect(handlers?.dependencies).toEqual([notifications]);
    expect(more).toEqual([]);
  });

  it("leaves the handlers out where it is told to", () => {
    const names = stacksOf({ mpcHandlers: "false" }).map(({ stackName }) => stackName);
    expect(names).toEqual(["apgl-notifications"]);
  });
});

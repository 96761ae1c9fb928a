import { App } from "aws-cdk-lib";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import { describe, expect, it } from "vitest";
import { readSettings } from "../lib/settings.js";

const settings = (context: Record<string, unknown>) => readSettings(new App({ context }).node);

describe("settings", () => {
  it("have defaults for everything", () => {
    expect(settings({})).toMatchObject({
      prefix: "apgl",
      slackApiUrl: "https://slack.com/api",
      userProfilesTableName: undefined,
      defaultSlackPreference: true,
      architecture: Architecture.ARM_64,
      local: false,
      logRetention: RetentionDays.ONE_MONTH,
      pacing: true,
      timeScale: 1,
      mpcHandlers: true,
      mpcEventBusName: undefined,
      mpcEventSource: "apgl.mpc",
      bountyChannel: "content-bounties",
    });
  });

  it("take the source of events from the prefix, so that two deployments don't meet", () => {
    expect(settings({ prefix: "apgl-test" }).mpcEventSource).toBe("apgl-test.mpc");
  });

  it("may come from the command line as strings", () => {
    const context = { defaultSlackPreference: "false", local: "true", logRetentionDays: "7" };
    expect(settings(context)).toMatchObject({
      defaultSlackPreference: false,
      local: true,
      logRetention: RetentionDays.ONE_WEEK,
    });
  });

  it.each([
    ["prefix", "Apgl"],
    ["prefix", ""],
    ["prefix", "a".repeat(21)],
    ["slackApiUrl", "slack.com"],
    ["slackApiUrl", "http://slack.com/api"],
    ["slackApiUrl", "ftp://127.0.0.1/api"],
    ["slackApiUrl", "https://slack.com/api?x=1"],
    ["userProfilesTableName", "a b"],
    ["defaultSlackPreference", "yes"],
    ["architecture", "arm"],
    ["architecture", 64],
    ["local", "1"],
    ["functionsDir", ""],
    ["logRetentionDays", 31],
    ["logRetentionDays", "a month"],
    ["pacing", "on"],
    ["timeScale", 0.05],
    ["mpcHandlers", "no"],
    ["mpcEventBusName", "a bus"],
    ["mpcEventSource", "aws.states"],
    ["mpcEventSource", ""],
    ["bountyChannel", "Content Bounties"],
    ["bountyChannel", "--"],
  ])("refuse %s = %j by name", (name, value) => {
    expect(() => settings({ [name]: value })).toThrow(new RegExp(`^context value ${name} must be`));
  });

  it.each([0, -1, 2, "fast"])("refuse the time scale %j on the local stack too", (timeScale) => {
    expect(() => settings({ local: true, timeScale })).toThrow(/^context value timeScale must be/);
  });

  it.each(["http://127.0.0.1:4580/api", "http://localhost:4580/api", "https://slack.com/api"])(
    "take %s as Slack's address",
    (slackApiUrl) => {
      expect(settings({ slackApiUrl }).slackApiUrl).toBe(slackApiUrl);
    },
  );
});

import * as fs from "node:fs";
import * as path from "node:path";
import { App } from "aws-cdk-lib";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import { describe, expect, it } from "vitest";
import { ENVIRONMENTS } from "../lib/environments.js";
import { readSettings, SettingError, type Settings } from "../lib/settings.js";
import { ENVIRONMENT_NAMES, KEY, type Context } from "./deployment.js";

const settings = (context: Context) => readSettings(new App({ context }).node);

const TOPIC = "arn:aws:sns:eu-central-1:123456789012:operators";

const examples = (file: string): unknown =>
  JSON.parse(fs.readFileSync(path.join(import.meta.dirname, "../..", file), "utf8"));

/** Patterns for channels' names; the function's tests read the same ones. */
const PATTERNS = examples("functions/check-request/tests/channel_name_patterns.json") as {
  good: { pattern: string; matches: string }[];
  bad: string[];
};

/** Settings of reminders; the contract's tests read the same ones. */
const REMINDERS = examples("lib/contract/tests/reminder_settings.json") as {
  good: unknown[];
  bad: { place: string; settings: unknown }[];
};

describe("settings", () => {
  it("have defaults for everything, by default those of production", () => {
    const { functionsDir, ...others } = settings({});
    expect(functionsDir).toMatch(/target.lambda$/);
    expect(others).toEqual({
      environment: "prod",
      prefix: "apgl",
      slackApiUrl: "https://slack.com/api",
      userProfilesTableName: undefined,
      slackUsersTableName: undefined,
      channelsTableName: undefined,
      deliveriesTableName: undefined,
      rateLimitsTableName: undefined,
      receiptsTableName: undefined,
      itemsTableName: undefined,
      slackTokenSecretName: undefined,
      kmsKeyArn: undefined,
      defaultSlackPreference: true,
      architecture: Architecture.ARM_64,
      keepData: true,
      logRetentionDays: 90,
      logExecutionData: false,
      rateLimiter: true,
      channelTrustSeconds: 900,
      personTrustSeconds: 86_400,
      allowExternallySharedChannels: false,
      channelNamePattern: undefined,
      timeScale: 1,
      alarms: true,
      alarmEmail: undefined,
      alarmTopicArn: undefined,
      slackRefusalsThreshold: 20,
      oldestExecutionMinutes: 240,
      gradualShift: true,
      settledEventBusName: undefined,
      mpcHandlers: true,
      mpcEventBusName: undefined,
      mpcEventSource: "apgl.mpc",
      bountyChannel: "content-bounties",
      directMessages: true,
      reminders: "{}",
    });
  });

  it.each(ENVIRONMENT_NAMES)("have the defaults of %s", (environment) => {
    expect(settings({ environment })).toMatchObject({ environment, ...ENVIRONMENTS[environment] });
  });

  it("keep data, have alarms and shift gradually in production, but not in a developer's deployment", () => {
    expect(ENVIRONMENTS.prod).toMatchObject({ keepData: true, alarms: true, gradualShift: true });
    expect(ENVIRONMENTS.dev).toMatchObject({ keepData: false, alarms: false, gradualShift: false });
    expect(ENVIRONMENTS.local).toMatchObject({ keepData: false, gradualShift: false });
    expect(ENVIRONMENTS.dev.prefix).not.toBe(ENVIRONMENTS.prod.prefix);
  });

  it("take precedence over the environment's defaults", () => {
    const given = { prefix: "other", keepData: true, logRetentionDays: 30, alarms: true };
    expect(settings({ environment: "dev", ...given, gradualShift: true })).toMatchObject({
      environment: "dev",
      ...given,
      gradualShift: true,
    });
  });

  it("derive the source of events from the prefix, so that two deployments don't interfere", () => {
    expect(settings({ prefix: "apgl-test" }).mpcEventSource).toBe("apgl-test.mpc");
    expect(settings({ environment: "dev" }).mpcEventSource).toBe("apgl-dev.mpc");
  });

  it("may be strings from the command line", () => {
    const context = {
      environment: "local",
      defaultSlackPreference: "false",
      keepData: "true",
      logRetentionDays: "7",
      logExecutionData: "true",
      rateLimiter: "false",
      channelTrustSeconds: "0",
      personTrustSeconds: "60",
      allowExternallySharedChannels: "true",
      timeScale: "0.05",
      alarms: "false",
      slackRefusalsThreshold: "5",
      oldestExecutionMinutes: "120",
      gradualShift: "false",
      mpcHandlers: "false",
    };
    expect(settings(context)).toMatchObject({
      defaultSlackPreference: false,
      keepData: true,
      logRetentionDays: 7,
      logExecutionData: true,
      rateLimiter: false,
      channelTrustSeconds: 0,
      personTrustSeconds: 60,
      allowExternallySharedChannels: true,
      timeScale: 0.05,
      alarms: false,
      slackRefusalsThreshold: 5,
      oldestExecutionMinutes: 120,
      gradualShift: false,
      mpcHandlers: false,
    });
  });

  it.each([
    ["environment", "production"],
    ["environment", ""],
    ["environment", "toString"],
    ["prefix", "Apgl"],
    ["prefix", ""],
    ["prefix", "a".repeat(21)],
    ["slackApiUrl", "slack.com"],
    ["slackApiUrl", "http://slack.com/api"],
    ["slackApiUrl", "ftp://127.0.0.1/api"],
    ["slackApiUrl", "https://slack.com/api?x=1"],
    ["userProfilesTableName", "a b"],
    ["slackUsersTableName", "ab"],
    ["channelsTableName", "a".repeat(256)],
    ["deliveriesTableName", "arn:aws:dynamodb:eu-central-1:123456789012:table/library"],
    ["rateLimitsTableName", ""],
    ["receiptsTableName", ""],
    ["itemsTableName", "a/b"],
    ["slackTokenSecretName", ""],
    [
      "slackTokenSecretName",
      "arn:aws:secretsmanager:eu-central-1:123456789012:secret:slack-AbCdEf",
    ],
    ["kmsKeyArn", "alias/apgl"],
    ["kmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:alias/apgl"],
    ["kmsKeyArn", "11112222-3333-4444-5555-666677778888"],
    ["kmsKeyArn", `${KEY}*`],
    ["defaultSlackPreference", "yes"],
    ["architecture", "arm"],
    ["architecture", 64],
    ["functionsDir", ""],
    ["keepData", "1"],
    ["logRetentionDays", 31],
    ["logRetentionDays", 0],
    ["logRetentionDays", "a month"],
    ["logRetentionDays", "ONE_MONTH"],
    ["logExecutionData", "all"],
    ["rateLimiter", "on"],
    ["timeScale", 0.05],
    ["alarms", "no"],
    ["alarmEmail", "operators"],
    ["alarmEmail", "operators@library"],
    ["alarmEmail", "two@library.example, three@library.example"],
    ["alarmTopicArn", "operators"],
    ["alarmTopicArn", `${TOPIC}.fifo`],
    ["alarmTopicArn", "arn:aws:sqs:eu-central-1:123456789012:operators"],
    ["slackRefusalsThreshold", 0],
    ["slackRefusalsThreshold", 1.5],
    ["slackRefusalsThreshold", "many"],
    ["channelTrustSeconds", -1],
    ["channelTrustSeconds", "15m"],
    ["channelTrustSeconds", 86_401],
    ["personTrustSeconds", ""],
    ["allowExternallySharedChannels", "no"],
    ["channelNamePattern", ""],
    ["channelNamePattern", "a".repeat(201)],
    ["channelNamePattern", "a b"],
    ["channelNamePattern", "(?i:a)"],
    ["channelNamePattern", "(?:ab){2}"],
    ...PATTERNS.bad.map((pattern): [string, unknown] => ["channelNamePattern", pattern]),
    ["oldestExecutionMinutes", -1],
    ["oldestExecutionMinutes", ""],
    ["gradualShift", "canary"],
    ["settledEventBusName", ""],
    ["settledEventBusName", "arn:aws:events:eu-central-1:123456789012:event-bus/library"],
    ["mpcHandlers", "no"],
    ["mpcEventBusName", "a bus"],
    ["mpcEventSource", "aws.states"],
    ["mpcEventSource", ""],
    ["bountyChannel", "Content Bounties"],
    ["bountyChannel", "--"],
    ["bountyChannel", "#bounties"],
    ["bountyChannel", "Équipe"],
    ["bountyChannel", "お知らせ。\u200b"],
    ["bountyChannel", "お".repeat(81)],
    ["reminders", ""],
    ["reminders", "off"],
    ["reminders", "{'default':{}}"],
    ["reminders", "null"],
    ["reminders", false],
    ["reminders", []],
  ])("reject %s = %j by name", (name, value) => {
    expect(() => settings({ [name]: value })).toThrow(new RegExp(`^context value ${name} must be`));
  });

  it.each(PATTERNS.good)(
    "accept the channelNamePattern $pattern, which $matches matches",
    ({ pattern: channelNamePattern, matches: bountyChannel }) => {
      const context = { channelNamePattern, bountyChannel };
      expect(settings(context)).toMatchObject(context);
    },
  );

  it.each(["content-bounties", "お知らせ", "équipe_1", "お".repeat(80)])(
    "accept the existing bountyChannel %s",
    (bountyChannel) => {
      expect(settings({ bountyChannel }).bountyChannel).toBe(bountyChannel);
    },
  );

  const together: [name: string, rule: RegExp, context: Context][] = [
    ["gradualShift", /if alarms is false/, { alarms: false }],
    ["gradualShift", /if alarms is false/, { environment: "dev", gradualShift: true }],
    ["gradualShift", /if environment is local/, { environment: "local", gradualShift: true }],
    ["alarmEmail", /alarmTopicArn/, { alarmEmail: "o@library.example", alarmTopicArn: TOPIC }],
    ["alarms", /must be true/, { environment: "dev", alarmEmail: "o@library.example" }],
    ["alarms", /must be true/, { environment: "dev", alarmTopicArn: TOPIC }],
    [
      "rateLimiter",
      /must be true/,
      { rateLimiter: false, rateLimitsTableName: "library-rate-limits" },
    ],
    ["timeScale", /must be 1/, { environment: "dev", timeScale: 0.05 }],
    [
      "settledEventBusName",
      /if prefix is aws/,
      { prefix: "aws", mpcEventSource: "library", settledEventBusName: "library" },
    ],
    ["bountyChannel", /channelNamePattern/, { channelNamePattern: "apg-.*" }],
  ];
  it.each(together)(
    "reject %s together with settings that contradict it: %s",
    (name, rule, context) => {
      expect(() => settings(context)).toThrow(new RegExp(`^context value ${name} must be`));
      expect(() => settings(context)).toThrow(rule);
    },
  );

  it.each([0, -1, 2, "fast"])("reject the time scale %j on the local stack too", (timeScale) => {
    expect(() => settings({ environment: "local", timeScale })).toThrow(
      /^context value timeScale must be/,
    );
  });

  it.each(["alarmMail", "local", "Prefix", "log_retention_days"])(
    "reject the unknown setting %s with a list of the known ones",
    (name) => {
      expect(() => settings({ [name]: "x" })).toThrow(
        new RegExp(`^context value ${name} is unknown: the known names are environment, prefix,`),
      );
    },
  );

  it("ignore CDK's own context values", () => {
    const context = {
      "@aws-cdk/core:newStyleStackSynthesis": true,
      "aws:cdk:bundling-stacks": ["**"],
      "cli-telemetry": false,
      "availability-zones:account=123456789012:region=eu-central-1": ["eu-central-1a"],
    };
    expect(settings(context)).toEqual(settings({}));
  });

  it.each([
    "http://127.0.0.1:4580/api",
    "http://localhost:4580/api",
    "http://[::1]:4580/api",
    "https://slack.com/api",
  ])("accept %s as Slack's address", (slackApiUrl) => {
    expect(settings({ slackApiUrl }).slackApiUrl).toBe(slackApiUrl);
  });

  it.each([
    ["kmsKeyArn", KEY],
    ["kmsKeyArn", `arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-${"0a".repeat(16)}`],
    ["slackTokenSecretName", "library/slack_token+1=@x.y"],
    ["alarmTopicArn", TOPIC],
    ["alarmEmail", "first.last+apgl@operators.library.example"],
    ["userProfilesTableName", "Library.profiles_2-x"],
    ["settledEventBusName", "default"],
    ["settledEventBusName", "library/events_1.x"],
  ] as const)("accept %s = %s", (name, value) => {
    expect(settings({ [name]: value })[name]).toBe(value);
  });
});

describe("the setting reminders", () => {
  const reminders = (value: unknown) => settings({ reminders: value }).reminders;

  it.each(REMINDERS.good.map((good) => JSON.stringify(good)))("may be %s", (json) => {
    expect(reminders(json)).toBe(json);
    expect(reminders(JSON.parse(json))).toBe(json);
  });

  it("is passed on without the spaces of its JSON", () => {
    expect(reminders(' { "default" : { "off" : true } } ')).toBe('{"default":{"off":true}}');
  });

  it.each(REMINDERS.bad.map(({ place, settings }) => [place, JSON.stringify(settings)]))(
    "can't break a rule at %j, as in %s",
    (place, json) => {
      const name = ["reminders", ...(place === "" ? [] : [place])].join(".");
      expect(() => reminders(json)).toThrow(SettingError);
      expect(() => reminders(json)).toThrow(`context value ${name} `);
    },
  );

  const whole = "must be settings of reminders as JSON, at most 2000 characters";
  const anObject = "must be an object";
  const unknown = "is not a known setting";
  const aBoolean = "must be a boolean";
  const leads = "must be a list of at most 5 lengths such as 3d or 24h, no two of them equal";
  const upTo10 = "must be an integer from 0 to 10";
  const upTo30 = "must be an integer from 0 to 30";
  const addresses = "must be a list of at most 50 e-mail addresses";
  const hours = "must have from and to, times of day such as 09:00, in this order";
  const days = "must be a list of mon, tue, wed, thu, fri, sat, sun, not empty";
  const zone =
    "must be UTC or the IANA name of a time zone by area and place, such as Europe/Berlin";
  it.each([
    ["reminders", whole, "{"],
    ["reminders", whole, []],
    ["reminders", whole, { states: { ["a".repeat(2_000)]: {} } }],
    ["reminders.state", unknown, { state: {} }],
    ["reminders.timeZone", zone, { timeZone: "Berlin" }],
    ["reminders.default", anObject, { default: [] }],
    ["reminders.default.overDue", unknown, { default: { overDue: 5 } }],
    ["reminders.default.off", aBoolean, { default: { off: "true" } }],
    ["reminders.default.beforeDue", leads, { default: { beforeDue: ["1d", "24h"] } }],
    ["reminders.default.atDue", aBoolean, { default: { atDue: 1 } }],
    ["reminders.default.overdue", upTo10, { default: { overdue: 11 } }],
    ["reminders.default.quietAfterWorkingDays", upTo30, { default: { quietAfterWorkingDays: 31 } }],
    ["reminders.default.quiet", upTo10, { default: { quiet: "5" } }],
    [
      "reminders.default.escalateAfterWorkingDays",
      upTo30,
      { default: { escalateAfterWorkingDays: -1 } },
    ],
    ["reminders.default.escalateTo", addresses, { default: { escalateTo: ["ana"] } }],
    ["reminders.default.workingHours", hours, { default: { workingHours: { from: "09:00" } } }],
    ["reminders.default.workingDays", days, { default: { workingDays: [] } }],
    ["reminders.states", anObject, { states: null }],
    ["reminders.states.in_review", anObject, { states: { in_review: null } }],
    ["reminders.states.in_review.off", aBoolean, { states: { in_review: { off: 0 } } }],
    [
      "reminders.states.in_review.overdue",
      upTo10,
      { default: { overdue: 1 }, states: { published: { off: true }, in_review: { overdue: 11 } } },
    ],
  ])("has the error %s %s", (place, rule, value) => {
    expect(() => reminders(value)).toThrow(new SettingError(place, rule));
  });

  it.each([1, 0])("may have 2000 characters as JSON, not %i more", (more) => {
    const longest = { states: { ["a".repeat(2_000 - '{"states":{"":{}}}'.length + more)]: {} } };
    if (more === 0) expect(reminders(longest)).toHaveLength(2_000);
    else expect(() => reminders(longest)).toThrow(new SettingError("reminders", whole));
  });

  it.each([
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Argentina/Buenos_Aires",
    "America/Port-au-Prince",
    "Etc/GMT+12",
    "Pacific/Kiritimati",
  ])("may have the time zone %s", (timeZone) => {
    expect(reminders({ timeZone })).toBe(JSON.stringify({ timeZone }));
  });

  // Node also knows ICU's own names, from PST to Canada/East-Saskatchewan, but the functions don't.
  it.each([
    "",
    "Berlin",
    "Europe/",
    "Europe/Atlantis",
    "Europe/Berlin ",
    "+01:00",
    "UTC+1",
    "PST",
    "IST",
    "SystemV/PST8",
    "US/Pacific-New",
    "Canada/East-Saskatchewan",
    "Etc/Unknown",
    "../Europe/Berlin",
  ])("can't have the time zone %j", (timeZone) => {
    expect(() => reminders({ timeZone })).toThrow(new SettingError("reminders.timeZone", zone));
  });
});

describe("docs/settings.md", () => {
  interface Row {
    name: string;
    defaults: string[];
    rule: string;
  }
  const page = fs.readFileSync(path.join(import.meta.dirname, "../../docs/settings.md"), "utf8");
  const [table = ""] = page.split("\n## ");
  const rows = [...table.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, cells]): Row => {
    const [prod, dev, local, rule] = (cells ?? "").split(" | ");
    return {
      name: name ?? "",
      defaults: [prod ?? "", dev ?? "", local ?? ""],
      rule: (rule ?? "").replaceAll("`", ""),
    };
  });

  it("names every context value once, in the order of the code", () => {
    expect(rows.map(({ name }) => name)).toEqual(Object.keys(settings({})));
  });

  it.each(rows)("has the defaults of $name", ({ name, defaults }) => {
    const inEach = (["prod", "dev", "local"] as const).map((environment) =>
      shown(settings({ environment })[name as keyof Settings]),
    );
    expect(defaults).toEqual(inEach);
  });

  it.each(rows)("says what $name must be", ({ name, rule }) => {
    const refusal = new Error(`context value ${name} must be ${rule}`);
    // A list is right for no setting.
    expect(() => settings({ [name]: [] })).toThrow(refusal);
  });

  function shown(value: Settings[keyof Settings]): string {
    if (value === undefined) return "–";
    if (value instanceof Architecture) return `\`${value.name}\``;
    const root = path.join(import.meta.dirname, "../..");
    return `\`${String(value).replace(`${root}${path.sep}`, "").replaceAll(path.sep, "/")}\``;
  }
});

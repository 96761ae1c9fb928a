import jsonata from "jsonata";
import { describe, expect, it } from "vitest";
import { machineFiles, type Machine, type Rule, type State } from "../machine.js";
import { RULES } from "./all.js";
import { run, USED_LOOKUPS } from "./errors.js";
import { sameEverywhere } from "./structure.js";

const [, , good] = machineFiles().find(([name]) => name.startsWith("notify-private")) ?? [];
const machine = () => JSON.parse(good ?? "{}") as Machine;

const post = (broken: Machine) => broken.States["PostMessage"] as State;
const catchOf = (state: State, error: string) =>
  (state.Catch ?? []).find((rule) => rule.ErrorEquals.includes(error)) as Rule;

const CHANNEL_ERRORS = ["Channel.NotFound", "Channel.NameTaken", "Channel.Archived"];
const kept = (errors: string[]): Rule => ({
  ErrorEquals: errors,
  Assign: { waits: 0 },
  Next: "Fail",
});

type Break = (machine: Machine) => void;

/** Ways to break a machine, each with the rule that must find it. */
const broken: [rule: string, what: string, Break][] = [
  ["wholeMachine", "JSONPath", (m) => (m["QueryLanguage"] = "JSONPath")],
  ["wholeMachine", "no time-out of the machine", (m) => delete m["TimeoutSeconds"]],
  ["wholeMachine", "no comment", (m) => delete m["Comment"]],
  ["wholeMachine", "another start", (m) => (m.StartAt = "PostMessage")],
  ["wholeMachine", "a next state that does not exist", (m) => (post(m).Next = "Publish")],
  [
    "wholeMachine",
    "a state that is never reached",
    (m) => (m.States["Lost"] = { Type: "Succeed" }),
  ],
  ["keyOrder", "keys in another order", (m) => (m.States["Fail"] = { Comment: "x", Type: "Fail" })],
  ["keyOrder", "a key that is not in the order", (m) => (post(m)["InputPath"] = "$")],
  ["stateNames", "a function of another name", (m) => (post(m).Arguments = { FunctionName: "x" })],
  ["stateNames", "a task that is not an invocation", (m) => (post(m)["Resource"] = "arn:aws:x")],
  ["loops", "a loop", (m) => (post(m).Next = "ResolveUsers")],
  [
    "loops",
    "a loop for an error that may occur repeatedly",
    (m) => catchOf(post(m), "Channel.Stale").ErrorEquals.push("Channel.NotFound"),
  ],
  [
    "staleChannels",
    "a look-up that is not used up",
    (m) => delete catchOf(post(m), "Channel.Stale").Assign?.["lookups"],
  ],
  [
    "staleChannels",
    "look-ups that earlier redrives did not need",
    (m) => ((catchOf(post(m), "Channel.Stale").Assign ?? {})["lookups"] = "{% $lookups + 1 %}"),
  ],
  [
    "staleChannels",
    "a loop without a look-up",
    (m) => (catchOf(post(m), "Channel.Stale").Next = "InviteMembers"),
  ],
  [
    "staleChannels",
    "a post to people who were looked up before a redrive",
    (m) => (catchOf(post(m), "Channel.Stale").Next = "EnsureChannel"),
  ],
  [
    "waits",
    "a function that is not told of look-ups",
    (m) =>
      ((post(m).Arguments?.Payload as { run: string }).run =
        `{% ${run(86400, { posts: true })} %}`),
  ],
  ["retries", "no retry", (m) => delete post(m).Retry],
  ["retries", "no retry of an idle function", (m) => post(m).Retry?.pop()],
  [
    "retries",
    "a retry that ends before an idle function is ready",
    (m) => ((post(m).Retry?.at(-1) as Rule)["MaxAttempts"] = 6),
  ],
  ["retries", "no bound on the delay", (m) => delete post(m).Retry?.[0]?.["MaxDelaySeconds"]],
  ["retries", "no jitter", (m) => delete post(m).Retry?.[0]?.["JitterStrategy"]],
  [
    "retries",
    "a final error",
    (m) => post(m).Retry?.[0]?.ErrorEquals.push("Slack.MessageRejected"),
  ],
  [
    "catchAll",
    "States.ALL first",
    (m) => post(m).Catch?.unshift({ ErrorEquals: ["States.ALL"], Next: "Fail" }),
  ],
  [
    "catchAll",
    "States.ALL beside others",
    (m) => post(m).Catch?.at(-1)?.ErrorEquals.push("States.ALL"),
  ],
  ["catchAll", "no error at all", (m) => post(m).Catch?.push({ ErrorEquals: [], Next: "Fail" })],
  ["timeouts", "no time-out", (m) => delete post(m).TimeoutSeconds],
  ["timeouts", "a heartbeat longer than the time-out", (m) => (post(m)["HeartbeatSeconds"] = 900)],
  [
    "waits",
    "a wait of a fixed length",
    (m) => ((m.States["WaitToPostMessage"] as State)["Seconds"] = 30),
  ],
  [
    "waits",
    "a wait that leads to another state",
    (m) => ((m.States["WaitToPostMessage"] as State).Next = "CheckRequest"),
  ],
  [
    "waits",
    "a wait that is not counted",
    (m) => delete catchOf(post(m), "Slack.RateLimited").Assign?.["waits"],
  ],
  [
    "waits",
    "seconds that are not read",
    (m) => (catchOf(post(m), "Slack.RateLimited").Assign = { waits: "{% $waits + 1 %}" }),
  ],
  [
    "waits",
    "a final error that is waited for",
    (m) => catchOf(post(m), "Slack.RateLimited").ErrorEquals.push("InvalidRequest"),
  ],
  [
    "waits",
    "a function that is not told how often its step has waited",
    (m) => ((post(m).Arguments?.Payload as { run: string }).run = "{% $states.context %}"),
  ],
  ["waits", "a function that is told of another time-out", (m) => (m.TimeoutSeconds = 60)],
  ["waits", "a count that is not reset for the next step", (m) => delete post(m).Assign?.["waits"]],
  [
    "redrivableErrors",
    "an error that can be redriven that ends in Fail",
    (m) => catchOf(post(m), "Slack.MessageRejected").ErrorEquals.push("Slack.Unauthorized"),
  ],
  [
    "redrivableErrors",
    "everything that ends in Fail",
    (m) => post(m).Catch?.push({ ErrorEquals: ["States.ALL"], Next: "Fail" }),
  ],
  [
    "firstError",
    "a first error that is lost",
    (m) => delete catchOf(post(m), "Slack.MessageRejected").Assign,
  ],
  [
    "keptErrors",
    "an error that is kept for nobody",
    (m) => post(m).Catch?.push(kept(["Slack.Rejected", ...CHANNEL_ERRORS])),
  ],
  [
    "keptErrors",
    "an error of the system that is kept",
    (m) => post(m).Catch?.push(kept(["Slack.Unauthorized"])),
  ],
  ["firstError", "another error in Fail", (m) => ((m.States["Fail"] as State)["Error"] = "Failed")],
  ["expressionSyntax", "an invalid expression", (m) => (post(m)["Output"] = "{% $states.( %}")],
  ["expressionSyntax", "$eval", (m) => (post(m)["Output"] = "{% $eval('1') %}")],
  [
    "reservedVariables",
    "an error output outside a Catch",
    (m) => (post(m)["Output"] = "{% $states.errorOutput %}"),
  ],
  [
    "reservedVariables",
    "a result before there is one",
    (m) => ((post(m).Arguments as { Payload: string }).Payload = "{% $states.result %}"),
  ],
  [
    "assignedVariables",
    "a variable that is never assigned",
    (m) => (post(m)["Output"] = "{% $channels %}"),
  ],
  [
    "assignedVariables",
    "a variable that one path does not assign",
    (m) => delete (m.States["FilterByPreference"] as State).Assign?.["skipped"],
  ],
];

describe("a rule", () => {
  it.each(broken)("%s finds %s", (rule, _, damage) => {
    const damaged = machine();
    damage(damaged);
    expect(RULES[rule]?.(damaged)).not.toEqual([]);
  });

  it.each(Object.entries(RULES))(
    "%s accepts a good machine and rejects a broken one",
    (name, rule) => {
      expect(rule(machine())).toEqual([]);
      expect(broken.some(([broken]) => broken === name)).toBe(true);
    },
  );

  it("finds a step that differs between files", () => {
    const other = machine();
    post(other).TimeoutSeconds = 71;
    expect(
      sameEverywhere([
        ["a", machine()],
        ["b", other],
      ]),
    ).toEqual(["PostMessage differs between a and b"]);
  });
});

describe("the run that a step receives", () => {
  const at = (time: string) => Date.parse(time);
  const StartTime = "2026-11-26T10:00:00.000Z";
  const RedriveTime = "2026-11-27T09:00:00.123Z";

  it.each([
    ["the start", { StartTime }, { startedAt: at(StartTime) }],
    [
      "the last redrive",
      { StartTime, RedriveTime, RedriveCount: 2 },
      { startedAt: at(RedriveTime), redriveCount: 2 },
    ],
  ])("has the time of %s", async (_, times, expected) => {
    const context = { Execution: { Id: "arn", ...times }, StateMachine: { Name: "apgl-x" } };
    const everything = run(86400, { lookups: true, users: true, posts: true });
    const received: unknown = await jsonata(everything).evaluate(
      {},
      { states: { context }, waits: 3, lookups: 1, resolvedAt: 7 },
    );
    expect(received).toEqual({
      executionId: "arn",
      workflow: "apgl-x",
      timeoutSeconds: 86400,
      waits: 3,
      channelLookups: 1,
      resolvedAt: 7,
      executionStartedAt: at(StartTime),
      ...expected,
    });
  });
});

describe("a look-up of the channel", () => {
  it.each([
    ["the start, without a count", {}, 1],
    ["the start", { RedriveCount: 0 }, 1],
    ["the fifth redrive", { RedriveCount: 5 }, 6],
  ])("is used up for %s", async (_, Execution, used) => {
    const states = { context: { Execution } };
    expect(await jsonata(USED_LOOKUPS).evaluate({}, { states })).toBe(used);
  });
});

import jsonata from "jsonata";
import { describe, expect, it } from "vitest";
import { expressions, machineFiles, type Machine, type Rule, type State } from "../machine.js";
import { RULES } from "./all.js";
import { WAITS_LEFT } from "./errors.js";
import { sameEverywhere } from "./structure.js";

const [, , good] = machineFiles().find(([name]) => name.startsWith("notify-private")) ?? [];
const machine = () => JSON.parse(good ?? "{}") as Machine;

const post = (broken: Machine) => broken.States["PostMessage"] as State;
const catchOf = (state: State, error: string) =>
  (state.Catch ?? []).find((rule) => rule.ErrorEquals.includes(error)) as Rule;

type Break = (machine: Machine) => void;

/** A machine broken on purpose, and the rule that must find it. */
const broken: [rule: string, what: string, Break][] = [
  ["wholeMachine", "JSONPath", (m) => (m["QueryLanguage"] = "JSONPath")],
  ["wholeMachine", "no time-out of the machine", (m) => delete m["TimeoutSeconds"]],
  ["wholeMachine", "no comment", (m) => delete m["Comment"]],
  ["wholeMachine", "another start", (m) => (m.StartAt = "PostMessage")],
  ["wholeMachine", "a next state that is not there", (m) => (post(m).Next = "Publish")],
  [
    "wholeMachine",
    "a state that is never reached",
    (m) => (m.States["Lost"] = { Type: "Succeed" }),
  ],
  ["keyOrder", "keys in another order", (m) => (m.States["Fail"] = { Comment: "x", Type: "Fail" })],
  ["keyOrder", "a key that has no place", (m) => (post(m)["InputPath"] = "$")],
  ["stateNames", "a function of another name", (m) => (post(m).Arguments = { FunctionName: "x" })],
  ["stateNames", "a task that is no invocation", (m) => (post(m)["Resource"] = "arn:aws:x")],
  ["loops", "a way back", (m) => (post(m).Next = "ResolveUsers")],
  [
    "loops",
    "a choice that is made again and again",
    (m) => delete (m.States["LookAgain"] as State).Choices?.[0]?.["Assign"],
  ],
  ["retries", "no retry", (m) => delete post(m).Retry],
  ["retries", "no bound on the delay", (m) => delete post(m).Retry?.[0]?.["MaxDelaySeconds"]],
  ["retries", "no jitter", (m) => delete post(m).Retry?.[0]?.["JitterStrategy"]],
  ["retries", "a final error", (m) => post(m).Retry?.[0]?.ErrorEquals.push("Slack.Rejected")],
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
  ["waits", "a wait of a fixed time", (m) => ((m.States["WaitToPost"] as State)["Seconds"] = 30)],
  [
    "waits",
    "a wait that goes elsewhere",
    (m) => ((m.States["WaitToPost"] as State).Next = "CheckRequest"),
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
    "no bound for the function",
    (m) => delete (post(m).Arguments?.Payload as { run?: { waitsLeft?: string } }).run?.waitsLeft,
  ],
  [
    "waits",
    "turns that the function does not get back",
    (m) => delete (post(m).Arguments?.Payload as { run?: { turns?: string } }).run?.turns,
  ],
  [
    "waits",
    "turns that are not read from the cause",
    (m) => delete catchOf(post(m), "Slack.RateLimited").Assign?.["turns"],
  ],
  ["waits", "a count that goes on with the next step", (m) => delete post(m).Assign?.["waits"]],
  ["waits", "turns that go on with the next step", (m) => delete post(m).Assign?.["turns"]],
  [
    "mendableErrors",
    "a mendable error that ends in Fail",
    (m) => catchOf(post(m), "Slack.Rejected").ErrorEquals.push("Slack.Unauthorized"),
  ],
  [
    "mendableErrors",
    "everything that ends in Fail",
    (m) => post(m).Catch?.push({ ErrorEquals: ["States.ALL"], Next: "Fail" }),
  ],
  [
    "firstError",
    "a first error that is lost",
    (m) => delete catchOf(post(m), "Slack.Rejected").Assign,
  ],
  [
    "firstError",
    "an error of its own in Fail",
    (m) => ((m.States["Fail"] as State)["Error"] = "Failed"),
  ],
  [
    "expressionSyntax",
    "an expression that is none",
    (m) => (post(m)["Output"] = "{% $states.( %}"),
  ],
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
    "a variable that nobody assigns",
    (m) => (post(m)["Output"] = "{% $channels %}"),
  ],
  [
    "assignedVariables",
    "a variable that one way does not assign",
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
    "%s finds nothing in a good machine, and something in a broken one",
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

describe("the number of waits left", () => {
  it.each([
    ["at the start", { RedriveCount: 0 }, 0, 100],
    ["when all are used up", { RedriveCount: 0 }, 100, 0],
    ["after a redrive", { RedriveCount: 1 }, 100, 100],
    ["after a redrive that used up its own", { RedriveCount: 1 }, 200, 0],
    ["where there is no RedriveCount", {}, 40, 60],
  ])("%s", async (_, Execution, waits, left) => {
    const bound = { states: { context: { Execution } }, waits };
    expect(await jsonata(WAITS_LEFT).evaluate({}, bound)).toBe(left);
  });
});

describe("the turns in a cause", () => {
  // JSONata makes a single value of some arrays of one, and nothing of some empty ones.
  it.each([[[]], [[{ limit: "a" }]], [[{ limit: "a" }, { limit: "b" }]]])(
    "stay a list: %j",
    async (turns) => {
      const rule = catchOf(post(machine()), "Slack.RateLimited");
      const [[, expression] = []] = expressions(rule.Assign?.["turns"], "turns");
      const assigned = jsonata(expression ?? "");
      assigned.registerFunction("parse", (json: string) => JSON.parse(json) as unknown);
      const cause = JSON.stringify({ errorMessage: JSON.stringify({ turns }) });
      const bound = { states: { errorOutput: { Cause: cause } } };
      expect(await assigned.evaluate({}, bound)).toEqual(turns);
      expect(await jsonata("$turns").evaluate({}, { turns })).toEqual(turns);
    },
  );
});

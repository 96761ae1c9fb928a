import { edges, expressions, type Machine, type Rule, type State } from "../machine.js";
import { tasks } from "./structure.js";

/** Errors of the Lambda service, which every Task must retry. */
const LAMBDA_SERVICE_ERRORS = [
  "Lambda.ServiceException",
  "Lambda.AWSLambdaException",
  "Lambda.SdkClientException",
  "Lambda.ClientExecutionTimeoutException",
  "Lambda.TooManyRequestsException",
];
/**
 * Errors of a function that was idle for weeks, whose resources Lambda has reclaimed. The first invocation
 * fails and makes Lambda provision them again, which took 40 to 106 seconds where it was measured.
 * `ResourceConflictException` is what an invocation meanwhile can get.
 *
 * Sources: "Lambda function states" and "Troubleshoot invocation issues in Lambda", AWS; boto/boto3#3788;
 * aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws#801.
 */
const IDLE_FUNCTION_ERRORS = [
  "Lambda.CodeArtifactUserPendingException",
  "Lambda.ResourceConflictException",
  "Lambda.ResourceNotReadyException",
];
/** Twice as long as it took. Full jitter halves the delays on average. */
const IDLE_FUNCTION_SECONDS = 2 * 106;

/** Errors that no redrive can fix. `lib/contract/tests/asl.rs` compares the workflows' error names with its enum. */
const TERMINAL = ["InvalidRequest", "Channel.NotOurs", "Slack.MessageRejected"];
/** Errors after which a workflow waits and runs the step again. */
const WAITING = [
  "Slack.RateLimited",
  "Slack.OutcomeUnknown",
  "Delivery.InProgress",
  "Channel.BeingCreated",
  "Channel.ScanInProgress",
  "Step.Unfinished",
];

/**
 * Errors that people fix in Slack. A workflow that has more to do than what the failed step does keeps the error for a
 * later step, and goes on.
 */
const FIXED_IN_SLACK = [
  "Channel.NotFound",
  "Channel.NameTaken",
  "Channel.Archived",
  "Slack.Rejected",
];
/** What it keeps. */
const KEPT =
  "{% {'error': $states.errorOutput.Error, 'reason': $parse($parse($states.errorOutput.Cause).errorMessage).message, 'slackError': $parse($parse($states.errorOutput.Cause).errorMessage).slackError} %}";

/** What the table says about the channel is out of date: the workflow looks it up again. */
export const STALE = "Channel.Stale";
/** The states that look a channel or a direct message up. */
const LOOK_UPS = ["FindChannel", "EnsureChannel", "OpenConversation"];
/** The state that reads people's preferences, before their ids are looked up. */
const PREFERENCES = "FilterByPreference";
/** The steps that post. They are also told when the execution was started. */
const POSTS = ["PostMessage", "UpdateCard", "SendReminder", "SendEscalation"];
/** The steps that do something for people: after a redrive, the people are looked up again first. */
const FOR_PEOPLE = ["InviteMembers", "PostMessage", "SendReminder", "SendEscalation"];
/**
 * How many look-ups are used up then: one for the start and one for each redrive, also if an earlier one was not needed.
 * The sum also holds if RedriveCount is missing before the first redrive.
 */
export const USED_LOOKUPS = "$sum([1, $states.context.Execution.RedriveCount])";

/**
 * What a step that may wait is told about its execution: until when it runs and how often it has waited. A step
 * that may go back to the look-up of the channel is also told how many look-ups are used up, and so is the look-up of a
 * direct message; one that gets users is told when they were resolved, and one that posts when the execution was
 * started.
 */
export function run(
  timeoutSeconds: number,
  { lookups = false, users = false, posts = false },
): string {
  const startedAt =
    "$toMillis($exists(Execution.RedriveTime) ? Execution.RedriveTime : Execution.StartTime)";
  const fields = [
    "'executionId': Execution.Id",
    "'workflow': StateMachine.Name",
    `'startedAt': ${startedAt}`,
    "'redriveCount': Execution.RedriveCount",
    `'timeoutSeconds': ${timeoutSeconds}`,
    "'waits': $waits",
    ...(lookups ? ["'channelLookups': $lookups"] : []),
    ...(users ? ["'resolvedAt': $resolvedAt"] : []),
    ...(posts ? ["'executionStartedAt': $toMillis(Execution.StartTime)"] : []),
  ];
  return `$states.context.{${fields.join(", ")}}`;
}

/** Every Task retries Lambda's transient errors, with limits on the delay and the number of attempts. */
export function retries(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) => {
    const rules = state.Retry ?? [];
    const named = new Set(rules.flatMap((rule) => rule.ErrorEquals));
    const missing = [...LAMBDA_SERVICE_ERRORS, ...IDLE_FUNCTION_ERRORS].filter(
      (error) => !named.has(error),
    );
    const findings = missing.map((error) => `${name} must retry ${error}`);
    for (const rule of rules) {
      for (const field of ["IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds"]) {
        if (typeof rule[field] !== "number") findings.push(`${name}: a Retry must have ${field}`);
      }
      if (rule["JitterStrategy"] !== "FULL") {
        findings.push(`${name}: a Retry must have JitterStrategy FULL`);
      }
      const idle = rule.ErrorEquals.find((error) => IDLE_FUNCTION_ERRORS.includes(error));
      if (idle !== undefined && longestDelay(rule) / 2 < IDLE_FUNCTION_SECONDS) {
        findings.push(`${name} must retry ${idle} for longer`);
      }
      for (const error of rule.ErrorEquals.filter((error) => TERMINAL.includes(error))) {
        findings.push(`${name} must not retry ${error}, which is final`);
      }
    }
    return findings;
  });
}

/** The sum of the delays of all attempts, in seconds, without jitter. */
function longestDelay(rule: Rule): number {
  const [first, attempts, rate, longest] = [
    rule["IntervalSeconds"],
    rule["MaxAttempts"],
    rule["BackoffRate"],
    rule["MaxDelaySeconds"],
  ].map(Number) as [number, number, number, number];
  const delays = Array.from({ length: attempts }, (_, n) => Math.min(first * rate ** n, longest));
  return delays.reduce((sum, delay) => sum + delay, 0);
}

/** `States.ALL` is alone in its rule, and the rule is the last one. Otherwise it would hide later rules. */
export function catchAll(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) =>
    [state.Retry ?? [], state.Catch ?? []].flatMap((rules) =>
      rules.flatMap((rule, n) => {
        if (rule.ErrorEquals.length === 0) return [`${name}: ErrorEquals must not be empty`];
        if (!rule.ErrorEquals.includes("States.ALL")) return [];
        const isAloneAndLast = rule.ErrorEquals.length === 1 && n === rules.length - 1;
        return isAloneAndLast ? [] : [`${name}: States.ALL must be alone in the last rule`];
      }),
    ),
  );
}

/** Every Task has a time-out. The CDK tests compare its seconds with the function's time-out. */
export function timeouts(machine: Machine): string[] {
  return tasks(machine).flatMap(
    ([name, { TimeoutSeconds: seconds, HeartbeatSeconds: heartbeat }]) => {
      if (seconds === undefined) return [`${name} must have a TimeoutSeconds`];
      return typeof heartbeat === "number" && heartbeat >= seconds
        ? [`${name} must have a HeartbeatSeconds below its TimeoutSeconds`]
        : [];
    },
  );
}

/** After a waiting error the workflow reads the seconds, counts the wait, sleeps, and returns to the step. */
export function waits(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) => {
    const rules = (state.Catch ?? []).filter((rule) =>
      rule.ErrorEquals.some((error) => WAITING.includes(error)),
    );
    const findings = rules.flatMap((rule) => waitOf(machine, name, rule));
    if (rules.length === 0 && catchOfStale(state) === undefined) return findings;
    const told = run(machine.TimeoutSeconds ?? 0, {
      lookups: catchOfStale(state) !== undefined || name === "OpenConversation",
      users: ["InviteMembers", "RemoveMembers", "OpenConversation"].includes(name),
      posts: POSTS.includes(name),
    });
    if (runOf(state) !== `{% ${told} %}`) {
      findings.push(`${name} must pass run to its function, with the machine's time-out`);
    }
    if (state.Assign?.["waits"] !== 0) {
      findings.push(`${name} must reset $waits to 0 when it succeeds`);
    }
    return findings;
  });
}

/** A step that finds the channel or direct message gone goes back to the look-up; after that, the Task fails. */
export function staleChannels(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) => {
    const rule = catchOfStale(state);
    if (rule === undefined) return [];
    const findings: string[] = [];
    if (rule.ErrorEquals.length > 1) findings.push(`${name}: ${STALE} must be caught by itself`);
    if (rule.Assign?.["lookups"] !== `{% ${USED_LOOKUPS} %}` || rule.Assign["waits"] !== 0) {
      findings.push(`${name}: a Catch of ${STALE} must use up the look-up and begin waits anew`);
    }
    const between = statesBetween(machine, rule.Next ?? "", name);
    if (!LOOK_UPS.some((lookUp) => between.has(lookUp))) {
      findings.push(`${name}: ${STALE} must lead back to it by a look-up of the channel`);
    }
    if (FOR_PEOPLE.includes(name) && !between.has(PREFERENCES)) {
      findings.push(`${name}: ${STALE} must lead back to it by ${PREFERENCES}`);
    }
    return findings;
  });
}

/**
 * An error that people fix in Slack is only caught to be kept: it is passed to a later step, which fails with it, so that the execution does not end as if nothing had happened.
 */
export function keptErrors(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) =>
    (state.Catch ?? []).filter(keepsError).flatMap((rule) => {
      const findings: string[] = [];
      const others = rule.ErrorEquals.filter(
        (error) => !FIXED_IN_SLACK.includes(error) && error !== "Slack.MessageRejected",
      );
      if (others.length > 0) findings.push(`${name}: ${others} must not be kept`);
      const missing = FIXED_IN_SLACK.filter((error) => !rule.ErrorEquals.includes(error));
      if (missing.length > 0) findings.push(`${name} must keep ${missing} as well`);
      const kept = Object.entries(rule.Assign ?? {}).find(([, value]) => value === KEPT)?.[0];
      const isPassedOn = [...statesBetween(machine, rule.Next ?? "", "")].some((next) => {
        const input = JSON.stringify(machine.States[next]?.Arguments?.Payload ?? null);
        return input.includes(`"${kept}":"{% $${kept} %}"`);
      });
      if (kept === undefined || !isPassedOn) {
        findings.push(`${name} must keep ${rule.ErrorEquals} for a later step`);
      }
      if (rule.Assign?.["waits"] !== 0) findings.push(`${name} must begin waits anew`);
      return findings;
    }),
  );
}

/** Whether it catches an error that others let fail the execution. */
export function keepsError({ ErrorEquals }: Rule): boolean {
  const handled = [...WAITING, ...TERMINAL, STALE];
  return !ErrorEquals.every((error) => handled.includes(error));
}

/** The states on the ways from one state to another on which nothing fails. */
function statesBetween(machine: Machine, from: string, to: string): Set<string> {
  const found = new Set<string>();
  const visit = (name: string) => {
    const state = machine.States[name];
    if (state === undefined || name === to || found.has(name)) return;
    found.add(name);
    for (const edge of edges(state)) if (edge.error === undefined) visit(edge.to);
  };
  visit(from);
  return found;
}

export function catchOfStale(state: State): Rule | undefined {
  return (state.Catch ?? []).find((rule) => rule.ErrorEquals.includes(STALE));
}

function runOf(state: State): unknown {
  return (state.Arguments?.Payload as { run?: unknown } | undefined)?.run;
}

function waitOf(machine: Machine, name: string, rule: Rule): string[] {
  const findings: string[] = [];
  if (!rule.ErrorEquals.every((error) => WAITING.includes(error))) {
    findings.push(`${name}: a Catch that leads to a Wait must name only waiting errors`);
  }
  if (!JSON.stringify(rule.Assign?.["retryAfterSeconds"] ?? "").includes(".retryAfterSeconds %}")) {
    findings.push(`${name}: a Catch of ${rule.ErrorEquals} must assign retryAfterSeconds`);
  }
  if (rule.Assign?.["waits"] !== "{% $waits + 1 %}") {
    findings.push(`${name}: a Catch of ${rule.ErrorEquals} must add 1 to $waits`);
  }
  const wait = machine.States[rule.Next ?? ""];
  if (
    wait?.Type !== "Wait" ||
    wait["Seconds"] !== "{% $retryAfterSeconds %}" ||
    wait.Next !== name
  ) {
    findings.push(`${name}: ${rule.ErrorEquals} must lead to a Wait of retryAfterSeconds and back`);
  }
  return findings;
}

/** No error that an operator can fix leads to a Fail state, because a redrive would enter Fail again. */
export function redrivableErrors(machine: Machine): string[] {
  return tasks(machine).flatMap(([name, state]) =>
    (state.Catch ?? []).flatMap((rule) => {
      if (!endsInFail(machine, rule.Next)) return [];
      const redrivable = rule.ErrorEquals.filter((error) => !TERMINAL.includes(error));
      return redrivable.map(
        (error) => `${name}: ${error} can be fixed, so it must not lead to Fail`,
      );
    }),
  );
}

/** Whether the state leads to a Fail state without another step in between. */
function endsInFail(machine: Machine, name: string | undefined): boolean {
  const state = machine.States[name ?? ""];
  if (state === undefined) return false;
  if (state.Type === "Fail") return true;
  if (state.Type === "Wait" || state.Type === "Task") return false;
  return edges(state).some(({ to }) => endsInFail(machine, to));
}

/** A branch that ends in Fail keeps the first error and its cause. */
export function firstError(machine: Machine): string[] {
  const findings = tasks(machine).flatMap(([name, state]) =>
    (state.Catch ?? [])
      .filter((rule) => endsInFail(machine, rule.Next))
      .filter((rule) => rule.Assign?.["failure"] !== "{% $states.errorOutput %}")
      .map((rule) => `${name}: a Catch of ${rule.ErrorEquals} must keep the error in $failure`),
  );
  for (const [name, state] of Object.entries(machine.States)) {
    if (state.Type !== "Fail") continue;
    const used = expressions({ Error: state["Error"], Cause: state["Cause"] }, name);
    if (used.length !== 2 || !used.every(([, expression]) => expression.includes("$failure"))) {
      findings.push(`${name} must end with $failure's error and cause`);
    }
  }
  return findings;
}

import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { schemasOf } from "./fields.js";
import { machineFiles, type Json, type Machine } from "./machine.js";
import { bytesOf, simulated, type StepFunction, type Sized } from "./simulation.js";

/**
 * What Step Functions allows for the payload, result and output of a state, and for the variables that a state
 * assigns. An execution that exceeds it ends with `States.DataLimitExceeded`, and no redrive helps.
 *
 * Source: "Service quotas" and "Passing data between states with variables", AWS Step Functions Developer Guide.
 */
const LIMIT = 262_144;

/** The contract's rule: how large a request may be, and how many bytes count for each address in addition. */
const RULE = fs.readFileSync(
  path.join(import.meta.dirname, "../../lib/contract/src/size.rs"),
  "utf8",
);
const constant = (name: string) =>
  Number(new RegExp(`const ${name}: usize = ([\\d_]+);`).exec(RULE)?.[1]?.replaceAll("_", ""));
const MAX_BYTES = constant("MAX_BYTES");
const BYTES_FOR_ADDRESS = constant("BYTES_FOR_ADDRESS");
const MAX_ADDRESSES = 1_000;
const LONGEST_ADDRESS = 254;

const machines = machineFiles().map(([name, , text]): [string, Machine] => [
  name.replace(".asl.json", ""),
  JSON.parse(text) as Machine,
]);

/** The longest reason for which a person can be skipped. */
const REASON = (schemasOf("change-channel-members").outcome.$defs?.["SkipReason"]?.oneOf ?? [])
  .map((reason) => reason.const ?? "")
  .reduce((longest, reason) => (reason.length > longest.length ? reason : longest), "");
const CHANNEL = {
  id: "C".repeat(32),
  name: "x".repeat(80),
  visibility: "private",
  requestedVisibility: "private",
  archived: false,
  created: false,
  createdByBot: false,
};

const addresses = (from: number, count: number, length: number): string[] =>
  Array.from({ length: count }, (_, n) => {
    const start = `${String(from + n)}.`;
    return `${start}${"x".repeat(length - start.length - "@example.com".length)}@example.com`;
  });

/** Which step skips people: `the last` invites or removes them, `each` means that every step skips some. */
const SKIPPED_BY = [
  "nobody",
  "CheckRequest",
  "FilterByPreference",
  "ResolveUsers",
  "the last",
  "each",
] as const;
type SkippedBy = (typeof SKIPPED_BY)[number];

const skipped = (email: string) => ({ email, reason: REASON });

interface User {
  email: string;
  id: string;
}

/** Functions with the largest results that they can have. */
function functions(skippedBy: SkippedBy): Record<string, StepFunction> {
  const skips = (step: number, who: SkippedBy, n: number) =>
    skippedBy === who || (skippedBy === "each" && n % 4 === step);
  const user = (email: string) => ({ email, id: "U".repeat(32) });
  const split = <T>(all: T[], isSkipped: (n: number) => boolean): [T[], T[]] => [
    all.filter((_, n) => !isSkipped(n)),
    all.filter((_, n) => isSkipped(n)),
  ];
  const emails = (users: Json | undefined) =>
    ((users ?? []) as unknown as User[]).map(({ email }) => email);
  const last = (users: Json | undefined) => split(emails(users), (n) => skips(2, "the last", n));
  return {
    CheckRequest: ({ request }) => request ?? null,
    FilterByPreference: ({ members }) => {
      const [wanted, out] = split(members as string[], (n) => skips(0, "FilterByPreference", n));
      return { wanted, skipped: out.map(skipped) };
    },
    ResolveUsers: ({ emails, leaving = [] }) => {
      const isSkipped = (n: number) => skips(1, "ResolveUsers", n);
      const [coming, absent] = split(emails as string[], isSkipped);
      const [going, gone] = split(leaving as string[], isSkipped);
      return {
        users: coming.map(user),
        leaving: going.map(user),
        skipped: [...absent, ...gone].map(skipped),
      };
    },
    FindChannel: () => ({ exists: true, channel: CHANNEL }),
    EnsureChannel: () => ({ channel: CHANNEL }),
    InviteMembers: ({ users }) => {
      const [invited, out] = last(users);
      return { invited, alreadyMembers: [], skipped: out.map(skipped) };
    },
    RemoveMembers: ({ users }) => {
      const [removed, out] = last(users);
      return { removed, skipped: out.map(skipped) };
    },
    PostMessage: () => ({ ts: "1".repeat(32), duplicate: false }),
    ArchiveChannel: () => ({ channel: CHANNEL }),
  };
}

type Request = Record<string, Json>;

/** What the contract counts. */
function counted(request: Request): number {
  const lists = ["members", "add", "remove"].map((field) => (request[field] ?? []) as string[]);
  return bytesOf(request) + BYTES_FOR_ADDRESS * lists.flat().length;
}

/**
 * The checked request of a workflow with this many addresses in each list, as large as the contract admits it. The
 * check skips entries that are no addresses; they are in `skipped` then.
 */
function largest(workflow: string, count: number, skippedBy: SkippedBy = "nobody"): Request {
  const { properties = {} } = schemasOf(workflow).request;
  const lists = ["members", "add", "remove"].filter((field) => field in properties);
  const request = (length: number, text: string): Request => {
    const request: Request = { channelName: "x".repeat(80) };
    for (const [n, list] of lists.entries()) request[list] = addresses(n * count, count, length);
    if (skippedBy === "CheckRequest") {
      request["skipped"] = lists.flatMap((list) => (request[list] as string[]).map(skipped));
      for (const list of lists) request[list] = [];
    }
    if ("visibility" in properties) {
      Object.assign(request, { visibility: "private", topic: "é".repeat(250), purpose: null });
    }
    if ("message" in properties) {
      // A control character has six bytes in JSON, and a caller can make blocks of any size.
      request["message"] = { text: "\u0001", blocks: [{ type: "section", text }] };
    }
    return request;
  };
  let length = LONGEST_ADDRESS;
  while (counted(request(length, "")) > MAX_BYTES) length -= 1;
  const rest = MAX_BYTES - counted(request(length, ""));
  return request(length, "x".repeat(rest));
}

const COUNTS = [0, 1, 100, MAX_ADDRESSES];

describe.each(machines)("%s", (workflow, machine) => {
  const cases = COUNTS.flatMap((count) =>
    SKIPPED_BY.map((skippedBy): [number, SkippedBy] => [count, skippedBy]),
  );

  it.each(cases)(
    "with %i addresses in each list, skipped by %s, stays within the limits of Step Functions",
    async (count, skippedBy) => {
      const request = largest(workflow, count, skippedBy);
      const { output, sizes } = await simulated(machine, request, functions(skippedBy));
      expect(sizes.filter(({ bytes }) => bytes > LIMIT)).toEqual([]);
      expect(everybodyIn(output)).toBe(everybodyIn(request));
      expect(statesOf(sizes)).toEqual(
        Object.keys(machine.States).filter((name) => isReached(machine, name)),
      );
    },
  );
});

it("the largest requests are as large as the contract admits them", () => {
  expect(counted(largest("notify-private-channel", MAX_ADDRESSES))).toBe(MAX_BYTES);
  const { add = [] } = largest("change-channel-members", MAX_ADDRESSES);
  expect(counted(largest("change-channel-members", MAX_ADDRESSES))).toBeGreaterThan(
    MAX_BYTES - 2 * MAX_ADDRESSES,
  );
  expect(add).toHaveLength(MAX_ADDRESSES);
});

/** How many addresses there are in a value, in lists or in the results for single people. */
function everybodyIn(value: Json): number {
  if (typeof value === "string") return value.endsWith("@example.com") ? 1 : 0;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, part) => sum + everybodyIn(part), 0);
}

const statesOf = (sizes: Sized[]) => [...new Set(sizes.map(({ state }) => state))];

/** Whether an execution that succeeds reaches the state: it is no wait, no failure, and not the other branch. */
function isReached(machine: Machine, name: string): boolean {
  const type = machine.States[name]?.Type;
  return type === "Task" || type === "Choice";
}

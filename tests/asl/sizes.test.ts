import * as fs from "node:fs";
import * as path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
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
const MAX_MENTIONS = 50;
/** The most items of which one message reminds: see `functions/send-reminder`. */
const MAX_REMINDED = 100;
const LONGEST_ADDRESS = 254;

const machines = machineFiles().map(([name, , text]): [string, Machine] => [
  name.replace(".asl.json", ""),
  JSON.parse(text) as Machine,
]);

/** The longest reason for which a person can be skipped. */
const REASON = (schemasOf("change-channel-members").outcome.$defs?.["SkipReason"]?.oneOf ?? [])
  .map((reason) => String(reason.const ?? ""))
  .reduce((longest, reason) => (reason.length > longest.length ? reason : longest), "");
/** A letter with four bytes, which names may have. */
const LONGEST_LETTER = "𐐨";
const LONGEST_TIME = Number.MAX_SAFE_INTEGER;
const CHANNEL = {
  id: "C".repeat(32),
  name: LONGEST_LETTER.repeat(80),
  visibility: "private",
  requestedVisibility: "private",
  archived: false,
  created: false,
  ours: false,
  externallyShared: false,
  confirmedAt: LONGEST_TIME,
};
const MESSAGE = {
  ts: `${"1".repeat(15)}.${"1".repeat(16)}`,
  duplicate: false,
  channelId: "C".repeat(32),
};
const VERSION = Number.MAX_SAFE_INTEGER;
/** What a request can say about an item, besides its channel and those who must act. */
const ITEM = {
  version: VERSION,
  title: "é".repeat(150),
  link: `https://example.org/${"x".repeat(1_980)}`,
  state: "é".repeat(40),
  nextStep: "é".repeat(300),
  facts: Array.from({ length: 10 }, () => "é".repeat(300)),
  dueDate: "2026-12-01",
};
const CARD = {
  ts: MESSAGE.ts,
  version: VERSION,
  change: "unchanged",
  pinned: false,
  notPinned: "x".repeat(100),
};
const REMINDED_OF = {
  itemId: LONGEST_LETTER.repeat(250),
  version: VERSION,
  stage: "overdue-10",
};
const TIMESTAMP = "2026-11-25T10:00:00.123456789Z";
/** What a request can say about its message, besides whom it mentions. */
const NOTICE = {
  category: "critical",
  occurredAt: TIMESTAMP,
  expiresAt: TIMESTAMP,
  // A control character has six bytes in JSON.
  sequence: { key: `x${"\u0001".repeat(199)}`, number: Number.MAX_SAFE_INTEGER },
  actor: `${"x".repeat(LONGEST_ADDRESS - "@example.org".length)}@example.org`,
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

interface Notice {
  mention?: string[];
  notMentioned?: Json[];
}

interface User {
  email: string;
  id: string;
}

/** Whether the step of this number, which is `who`, skips the n-th person whom it gets. */
const skips = (step: number, n: number, skippedBy: SkippedBy, who: SkippedBy) =>
  skippedBy === who || (skippedBy === "each" && n % 4 === step);

/** The addresses at which nobody can be written to. A direct message is opened for the first `tried` that are left. */
function unreachable(emails: string[], skippedBy: SkippedBy, tried = 1): string[] {
  const without = (gone: string[]) => emails.filter((email) => !gone.includes(email));
  const optedOut = emails.filter((_, n) => skips(0, n, skippedBy, "FilterByPreference"));
  const absent = without(optedOut).filter((_, n) => skips(1, n, skippedBy, "ResolveUsers"));
  const gone = [...optedOut, ...absent];
  const opened = without(gone).slice(0, tried);
  const last = opened.filter((_, n) => skips(2, n, skippedBy, "the last"));
  return [...gone, ...last].sort();
}

/** Functions with the largest results that they can have. `checked` is what the check makes of the request. */
function functions(skippedBy: SkippedBy, checked: Request): Record<string, StepFunction> {
  const user = (email: string) => ({ email, id: "U".repeat(32) });
  const split = <T>(all: T[], isSkipped: (n: number) => boolean): [T[], T[]] => [
    all.filter((_, n) => !isSkipped(n)),
    all.filter((_, n) => isSkipped(n)),
  ];
  const emails = (users: Json | undefined) =>
    ((users ?? []) as unknown as User[]).map(({ email }) => email);
  const last = (users: Json | undefined) =>
    split(emails(users), (n) => skips(2, n, skippedBy, "the last"));
  return {
    CheckRequest: () => checked,
    FilterByPreference: ({ members }) => {
      const [wanted, out] = split(members as string[], (n) =>
        skips(0, n, skippedBy, "FilterByPreference"),
      );
      return { wanted, skipped: out.map(skipped) };
    },
    ResolveUsers: ({ emails, leaving = [] }) => {
      const isSkipped = (n: number) => skips(1, n, skippedBy, "ResolveUsers");
      const [coming, absent] = split(emails as string[], isSkipped);
      const [going, gone] = split(leaving as string[], isSkipped);
      return {
        users: coming.map(user),
        leaving: going.map(user),
        skipped: [...absent, ...gone].map(skipped),
        resolvedAt: LONGEST_TIME,
      };
    },
    FindChannel: () => ({ exists: true, channel: CHANNEL }),
    EnsureChannel: () => ({ channel: CHANNEL }),
    InviteMembers: ({ users }) => {
      const [invited, out] = last(users);
      const newIds = Object.fromEntries(
        invited.slice(0, 200).map((email) => [email, user(email).id]),
      );
      return { invited, alreadyMembers: [], skipped: out.map(skipped), newIds };
    },
    RemoveMembers: ({ users }) => {
      const [removed, out] = last(users);
      return { removed, skipped: out.map(skipped) };
    },
    OpenConversation: ({ users }) => {
      const [opened, out] = last(users);
      const conversations = opened.map((email) => ({
        id: "D".repeat(32),
        email,
        userId: "U".repeat(32),
      }));
      return { conversation: conversations[0] ?? null, skipped: out.map(skipped) };
    },
    PostMessage: ({ notice, users = [], skipped: known = [] }) => {
      const { mention = [], notMentioned = [] } = (notice ?? {}) as Notice;
      const isKnown = new Set(emails(known));
      const ids = new Set(emails(users));
      const [mentioned, out] = split(mention, (n) => {
        const email = mention[n] ?? "";
        return isKnown.has(email) || !ids.has(email);
      });
      return { ...MESSAGE, mentioned, notMentioned: [...out.map(skipped), ...notMentioned] };
    },
    FindEscalation: () => ({
      people: checked["emails"] ?? [],
      channelName: CHANNEL.name,
      visibility: "private",
      waitSeconds: 0,
    }),
    SendEscalation: ({ conversation, channel, skipped }) => {
      const to = conversation as unknown as { email: string } | null;
      const told: Record<string, Json> = to === null ? {} : { told: to.email, message: MESSAGE };
      const posted = { channel: channel ?? null, channelMessage: MESSAGE };
      return { escalated: true, ...told, ...posted, skipped: skipped ?? [] };
    },
    ArchiveChannel: () => ({ channel: CHANNEL }),
    RecordItem: ({ item }) => {
      const { id, version } = item as unknown as { id: string; version: number };
      const movedAfterSeconds = Array<number>(MAX_MENTIONS).fill(Number.MAX_SAFE_INTEGER);
      return { item: { id, version, superseded: false }, movedAfterSeconds };
    },
    UpdateCard: () => ({ card: CARD }),
    PlanReminders: () => ({ planned: MAX_MENTIONS }),
    FindReminder: () => ({ emails: checked["emails"] ?? [], waitSeconds: 0 }),
    SendReminder: ({ conversation, skipped }) => {
      const told = { reminded: Array<Json>(MAX_REMINDED).fill(REMINDED_OF), message: MESSAGE };
      return { ...(conversation === null ? { reminded: [] } : told), skipped: skipped ?? [] };
    },
  };
}

type Request = Record<string, Json>;

/** What the contract counts. */
function counted(checked: Request): number {
  const { mention = [] } = (checked["notice"] ?? {}) as Notice;
  // An address in `mention` counts twice. In a private channel it is among the members too.
  const members = [...mention, ...((checked["members"] as string[] | undefined) ?? mention)];
  const lists = [members, checked["add"] ?? [], checked["remove"] ?? []];
  const addresses = lists.flat().length + ("email" in checked ? 1 : 0);
  return bytesOf(checked) + BYTES_FOR_ADDRESS * addresses;
}

/**
 * A workflow's request with this many addresses in each list, as large as the contract admits it, and what the check makes
 * of it: defaults are filled in, those whom the message mentions are members of a private channel, and entries that are
 * no addresses are listed apart.
 */
function largest(
  workflow: string,
  count: number,
  skippedBy: SkippedBy = "nobody",
): { request: Request; checked: Request } {
  const { properties = {} } = schemasOf(workflow).request;
  const has = (field: string) => field in properties;
  const lists = ["members", "add", "remove"].filter(has);
  const skips = skippedBy === "CheckRequest" && (lists.length > 0 || has("mention"));
  const ofLength = (length: number, text: string) => {
    const request: Request = {};
    const checked: Request = {};
    const both = (fields: Request) => {
      Object.assign(request, fields);
      Object.assign(checked, fields);
    };
    if (has("channelName")) both({ channelName: "x".repeat(80) });
    if (has("email")) both({ email: addresses(0, 1, length)[0] ?? "" });
    for (const [n, list] of lists.entries()) both({ [list]: addresses(n * count, count, length) });
    if (has("topic")) both({ visibility: "private", topic: "é".repeat(250), purpose: null });
    if (has("message")) {
      // A control character has six bytes in JSON, and a caller can make blocks of any size.
      const message = { text: "a\u0001", blocks: [{ type: "section", text }] };
      both({
        message: { ...message, threadTs: MESSAGE.ts, unfurlLinks: true, unfurlMedia: true },
      });
    }
    if (has("evenIfNotOurs")) both({ evenIfNotOurs: true });
    const { actor, ...ofAll } = NOTICE;
    if (has("category")) {
      Object.assign(request, ofAll);
      checked["notice"] = { ...ofAll, mention: [] };
    }
    if (has("mention")) {
      const mention = addresses(count, Math.min(count, MAX_MENTIONS), length);
      Object.assign(request, { mention, actor });
      checked["notice"] = skips
        ? { ...NOTICE, mention: [], notMentioned: mention.map(skipped) }
        : { ...NOTICE, mention };
      if (has("members")) checked["members"] = [...(request["members"] as string[]), ...mention];
    }
    if (has("userId")) {
      both({ userId: "U".repeat(32), day: "2026-12-01", part: "second" });
      // What the table knows of a person with many addresses.
      checked["emails"] = addresses(0, Math.min(count, MAX_MENTIONS), length);
    }
    if (workflow === "escalate") {
      both({ itemId: LONGEST_LETTER.repeat(250), dueDate: "2026-12-01" });
      checked["emails"] = addresses(0, Math.min(count, MAX_MENTIONS), length);
      return { request, checked };
    }
    if (has("itemId")) {
      const { channelName = null } = request;
      const id = "x".repeat(250);
      const waitingFor = addresses(0, Math.min(count, MAX_MENTIONS), length);
      const ofItem = { ...ITEM, visibility: "private", ownChannel: true, waitingFor };
      Object.assign(request, { itemId: id, ...ofItem });
      return { request, checked: { item: { id, channelName, ...ofItem } } };
    }
    if (skips) {
      request["onInvalidAddress"] = "skip";
      const left = lists.flatMap((list) => request[list] as string[]);
      if (lists.length > 0) checked["skipped"] = left.map(skipped);
      for (const list of lists) checked[list] = [];
    }
    return { request, checked };
  };
  const bytes = (length: number) => counted(ofLength(length, "").checked);
  let length = LONGEST_ADDRESS;
  while (bytes(length) > MAX_BYTES) length -= 1;
  return ofLength(length, "x".repeat(MAX_BYTES - bytes(length)));
}

const ajv = new Ajv2020({ strict: false, validateFormats: false });

/** What is wrong with a value, by a workflow's schema. */
function invalid(workflow: string, kind: "request" | "outcome", value: Json): unknown {
  const schema = schemasOf(workflow)[kind];
  return ajv.validate(schema, value) ? [] : ajv.errors;
}

const COUNTS = [0, 1, 100, MAX_ADDRESSES];

describe.each(machines)("%s", (workflow, machine) => {
  const cases = COUNTS.flatMap((count) =>
    SKIPPED_BY.map((skippedBy): [number, SkippedBy] => [count, skippedBy]),
  );

  it.each(cases)(
    "with %i addresses in each list, skipped by %s, stays within the limits of Step Functions",
    async (count, skippedBy) => {
      const { request, checked } = largest(workflow, count, skippedBy);
      expect(invalid(workflow, "request", request)).toEqual([]);
      const steps = functions(skippedBy, checked);
      const { output, sizes } = await simulated(machine, request, steps);
      expect(invalid(workflow, "outcome", output)).toEqual([]);
      expect(sizes.filter(({ bytes }) => bytes > LIMIT)).toEqual([]);
      expect(addressesIn(output)).toEqual(reported(workflow, request, checked, skippedBy));
      const avoided = avoids(workflow, count, skippedBy);
      const isReached = (name: string) => {
        const type = machine.States[name]?.Type;
        return (type === "Task" || type === "Choice") && !avoided.includes(name);
      };
      expect(statesOf(sizes).filter(isReached)).toEqual(
        Object.keys(machine.States).filter(isReached),
      );
    },
  );
});

it("the largest requests are as large as the contract admits them", () => {
  expect(counted(largest("notify-private-channel", MAX_ADDRESSES).checked)).toBe(MAX_BYTES);
  const { checked } = largest("change-channel-members", MAX_ADDRESSES);
  expect(counted(checked)).toBeGreaterThan(MAX_BYTES - 2 * MAX_ADDRESSES);
  expect(checked["add"]).toHaveLength(MAX_ADDRESSES);
});

it.each([
  ["notify-private-channel", "ChannelRef", CHANNEL],
  ["notify-private-channel", "PostedMessage", { ...MESSAGE, mentioned: [], notMentioned: [] }],
  ["update-item", "CardOutcome", CARD],
  ["remind", "RemindedOf", REMINDED_OF],
])("in %s the largest %s has every field of its schema", (workflow, type, value) => {
  const schema = schemasOf(workflow).outcome.$defs?.[type];
  expect(Object.keys(value).sort()).toEqual(Object.keys(schema?.properties ?? {}).sort());
});

/** The addresses in a value, in lists or in the results for single people, each once. */
function addressesIn(value: Json): string[] {
  const found = new Set<string>();
  const look = (part: Json) => {
    if (typeof part === "string" && part.endsWith("@example.com")) found.add(part);
    if (typeof part === "object" && part !== null) Object.values(part).forEach(look);
  };
  look(value);
  return [...found].sort();
}

/** The people whom an outcome reports: everybody, except a person who got a direct message, and those who can be reminded. */
function reported(
  workflow: string,
  request: Request,
  checked: Request,
  skippedBy: SkippedBy,
): string[] {
  if (workflow === "update-item") {
    const people = request["waitingFor"] as string[];
    return people.filter((_, n) => skips(1, n, skippedBy, "ResolveUsers")).sort();
  }
  if (workflow === "remind") return unreachable(checked["emails"] as string[], skippedBy);
  if (workflow === "escalate") {
    const emails = checked["emails"] as string[];
    const out = unreachable(emails, skippedBy, emails.length);
    const told = emails.filter((email) => !out.includes(email)).slice(0, 1);
    return [...out, ...told].sort();
  }
  return workflow === "notify-person" && !isSkipped(skippedBy) ? [] : addressesIn(request);
}

/** Whether the only person of a request is skipped. A request with an invalid address is refused. */
const isSkipped = (skippedBy: SkippedBy) => !["nobody", "CheckRequest"].includes(skippedBy);

/** The Tasks that an execution does not reach, besides those of a branch without effect. */
function avoids(workflow: string, count: number, skippedBy: SkippedBy): string[] {
  if (workflow === "notify-person" && isSkipped(skippedBy)) return ["PostMessage"];
  if (workflow === "update-item") {
    return ["FindChannel", ...(count === 0 ? ["ResolveUsers", "PlanReminders"] : [])];
  }
  const tells = ["FilterByPreference", "ResolveUsers", "OpenConversation"];
  if (workflow === "remind" && count === 0) return [...tells, "SendReminder"];
  if (workflow === "escalate") {
    const nobody = [...tells, "ChooseChannel", "EnsureChannel", "SendEscalation"];
    return ["FindChannel", ...(count === 0 ? nobody : [])];
  }
  const mentionsNobody = count === 0 || skippedBy === "CheckRequest";
  return workflow === "notify-public-channel" && mentionsNobody
    ? ["FilterByPreference", "ResolveUsers"]
    : [];
}

const statesOf = (sizes: Sized[]) => [...new Set(sizes.map(({ state }) => state))];

import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import * as fs from "node:fs";
import { describe, expect, it } from "vitest";
import { drawing, DRAWING } from "./draw.js";
import { formatted } from "./format.js";
import { machineFiles, type Json, type Machine } from "./machine.js";
import { RULES } from "./rules/all.js";
import { sameEverywhere } from "./rules/structure.js";
import { simulated, StepFailed, type StepFunction } from "./simulation.js";

const files = machineFiles();

describe.each(files)("%s", (_, file, text) => {
  const machine = JSON.parse(text) as Machine;

  it("is valid according to asl-validator", () => {
    const { isValid, errorsText } = aslValidator(JSON.parse(text));
    expect(isValid, errorsText("\n")).toBe(true);
  });

  it("is valid according to AWS's language service", async () => {
    const service = getLanguageService({});
    const document = TextDocument.create(file, "json", 1, text);
    const problems = await service.doValidation(document, service.parseJSONDocument(document));
    expect(problems.map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  it.each(Object.entries(RULES))("obeys %s", (_, rule) => {
    expect(rule(machine)).toEqual([]);
  });

  it("is formatted", () => {
    expect(text, "run `npm run format` in tests/asl").toBe(formatted(text));
  });
});

it("there are state machines to check", () => {
  expect(files.length).toBeGreaterThan(0);
});

it("a step is written the same way in every file", () => {
  expect(
    sameEverywhere(files.map(([name, , text]) => [name, JSON.parse(text) as Machine])),
  ).toEqual([]);
});

/** What a channel can't be used for, in Slack, until somebody changes something there. */
const UNUSABLE = ["Channel.NotFound", "Channel.NameTaken", "Channel.Archived", "Slack.Rejected"];
const LOOK_UPS = [
  { of: "private", lookUp: "EnsureChannel" },
  { of: "public", lookUp: "FindChannel" },
];

const failing = (error: string) => () => {
  throw new StepFailed(error, `because of ${error}`);
};

const statesOf = (sizes: { state: string }[]) => [...new Set(sizes.map(({ state }) => state))];

describe("update-item", () => {
  const [, , text = ""] = files.find(([name]) => name.startsWith("update-item")) ?? [];
  const machine = JSON.parse(text) as Machine;
  const item = { id: "guide-42", version: 7, superseded: false };
  const ana = { email: "ana@example.com", id: "U1" };
  const bob = { email: "bob@example.com", reason: "not_in_slack" };
  const channel = { id: "C1", visibility: "private" };
  const card = { ts: "1.2" };

  /** The execution for an item that waits for so many people, with these steps instead of those that succeed. */
  async function updated(visibility: string, people: number, steps: Record<string, StepFunction>) {
    const planned: Json[] = [];
    const waitingFor = [ana.email, bob.email].slice(0, people);
    const ended = await simulated(
      machine,
      {},
      {
        CheckRequest: () => ({
          item: { ...item, channelName: "guide-42", visibility, waitingFor },
        }),
        RecordItem: () => ({ item, movedAfterSeconds: [60] }),
        ResolveUsers: () => ({ users: [ana], skipped: people > 1 ? [bob] : [] }),
        EnsureChannel: () => ({ channel }),
        FindChannel: () => ({ channel }),
        UpdateCard: () => ({ card }),
        ...steps,
        PlanReminders: (input) => {
          planned.push(input);
          return steps["PlanReminders"]?.(input) ?? { planned: 1 };
        },
      },
    );
    return { ...ended, planned };
  }

  const BEGIN = ["CheckRequest", "RecordItem", "ShowIfNewer"];
  const PLAN = ["UpdateCard", "PlanIfPeopleMustAct", "ResolveUsers", "PlanReminders"];
  const DONE = ["UpdateCard", "PlanIfPeopleMustAct", "AnswerShown"];

  it.each([
    { of: "private", people: 1, then: ["EnsureChannel", ...PLAN], skipped: [] },
    { of: "public", people: 2, then: ["FindChannel", ...PLAN], skipped: [bob] },
    { of: "private", people: 0, then: ["EnsureChannel", ...DONE], skipped: [] },
  ])(
    "shows the card in a $of channel before it looks for the $people people who must act",
    async ({ of: visibility, people, then, skipped }) => {
      const { output, sizes, planned } = await updated(visibility, people, {});
      expect(statesOf(sizes)).toEqual([...BEGIN, ...then]);
      expect(planned.map((input) => (input as { users: Json }).users)).toEqual(
        people > 0 ? [[ana]] : [],
      );
      expect(output).toEqual({ channel, item, card, movedAfterSeconds: [60], skipped });
    },
  );

  it.each([0, 1])(
    "stops if a newer version is known, also if it waits for %i people",
    async (people) => {
      const newer = { ...item, version: 8, superseded: true };
      const RecordItem = () => ({ item: newer, movedAfterSeconds: [] });
      const { output, sizes } = await updated("private", people, { RecordItem });
      expect(statesOf(sizes)).toEqual([...BEGIN, "AnswerSuperseded"]);
      expect(output).toEqual({ item: newer, skipped: [] });
    },
  );

  it.each([
    ["ResolveUsers", "Slack.QueueTooLong"],
    ["ResolveUsers", "Slack.Rejected"],
    ["ResolveUsers", "Step.Bug"],
    ["PlanReminders", "Store.Unavailable"],
  ])(
    "has shown the card when %s fails with %s, from where it can be redriven",
    async (step, error) => {
      const { sizes, failed } = await updated("private", 1, { [step]: failing(error) });
      expect(statesOf(sizes)).toContain("UpdateCard");
      expect(failed).toEqual({ in: step, error });
    },
  );

  /** The step that plans passes on the error with which the card could not be shown. */
  const passedOn: StepFunction = ({ cardFailure = null }) => {
    if (cardFailure === null) return { planned: 1 };
    const { error, reason } = cardFailure as { error: string; reason: string };
    throw new StepFailed(error, reason);
  };

  it.each(
    [...LOOK_UPS, ...LOOK_UPS.map(({ of }) => ({ of, lookUp: "UpdateCard" }))].flatMap((step) =>
      UNUSABLE.map((error) => ({ ...step, error })),
    ),
  )(
    "plans reminders and then fails if $lookUp in a $of channel fails with $error",
    async ({ of: visibility, lookUp, error }) => {
      const steps = { [lookUp]: failing(error), PlanReminders: passedOn };
      for (const people of [0, 1]) {
        const { failed, planned } = await updated(visibility, people, steps);
        const cardFailure = { error, reason: `because of ${error}` };
        expect(planned).toMatchObject([{ users: [ana], cardFailure }]);
        expect(failed).toEqual({ in: "PlanReminders", error });
      }
    },
  );

  it("plans reminders and ends for good if Slack refuses the card itself", async () => {
    const UpdateCard = failing("Slack.MessageRejected");
    const { failed, planned } = await updated("private", 1, {
      UpdateCard,
      PlanReminders: passedOn,
    });
    expect(planned).toHaveLength(1);
    expect(failed).toEqual({ in: "Fail", error: "Slack.MessageRejected" });
  });

  it.each(["EnsureChannel", "UpdateCard"])(
    "shows the card after a redrive, when somebody has fixed what %s has found",
    async (step) => {
      const errors = ["Channel.NotFound"];
      const onceFixed: StepFunction = () => {
        const error = errors.pop();
        if (error !== undefined) throw new StepFailed(error, "missing");
        return { card, channel };
      };
      // This is what it returns when it runs again after a redrive.
      const PlanReminders: StepFunction = ({ cardFailure = null }) => {
        if (cardFailure !== null) throw new StepFailed("Channel.Stale", "looked up again");
        return { planned: 1 };
      };
      const { output } = await updated("private", 2, { [step]: onceFixed, PlanReminders });
      expect(output).toMatchObject({ channel, card, skipped: [bob] });
    },
  );
});

describe("escalate", () => {
  const [, , text = ""] = files.find(([name]) => name.startsWith("escalate")) ?? [];
  const machine = JSON.parse(text) as Machine;
  const request = { itemId: "guide", dueDate: "2026-12-01" };
  const conversation = { id: "D1", email: "eve@example.com", userId: "U2" };

  async function escalated(visibility: string, steps: Record<string, StepFunction>) {
    const sent: Json[] = [];
    const ended = await simulated(machine, request, {
      CheckRequest: () => request,
      FindEscalation: () => ({
        people: [conversation.email],
        channelName: "guide-42",
        visibility,
        waitSeconds: 0,
      }),
      FilterByPreference: ({ members = [] }) => ({ wanted: members, skipped: [] }),
      ResolveUsers: () => ({ users: [{ email: conversation.email, id: "U2" }], skipped: [] }),
      OpenConversation: () => ({ conversation, skipped: [] }),
      EnsureChannel: () => ({ channel: { id: "C1" } }),
      FindChannel: () => ({ channel: { id: "C1" } }),
      ...steps,
      SendEscalation: (input) => {
        sent.push(input);
        return steps["SendEscalation"]?.(input) ?? { escalated: true, skipped: [] };
      },
    });
    return { ...ended, sent };
  }

  it.each(LOOK_UPS.flatMap((step) => UNUSABLE.map((error) => ({ ...step, error }))))(
    "tells the person even if $lookUp fails with $error",
    async ({ of: visibility, lookUp, error }) => {
      const { output, sent } = await escalated(visibility, { [lookUp]: failing(error) });
      const channelFailure = { error, reason: `because of ${error}` };
      expect(sent).toMatchObject([{ conversation, channel: null, channelFailure }]);
      expect(output).toMatchObject({ escalated: true });
    },
  );

  it.each(
    LOOK_UPS.flatMap((step) =>
      ["Slack.QueueTooLong", "Store.Unavailable", "Slack.Unauthorized", "Step.Bug"].map(
        (error) => ({
          ...step,
          error,
        }),
      ),
    ),
  )(
    "can be redriven from $lookUp if that fails with $error",
    async ({ of: visibility, lookUp, error }) => {
      const { failed } = await escalated(visibility, { [lookUp]: failing(error) });
      expect(failed).toEqual({ in: lookUp, error });
    },
  );

  it("tells the channel once it is found again", async () => {
    const errors = ["Channel.NameTaken"];
    const EnsureChannel: StepFunction = () => {
      const error = errors.pop();
      if (error !== undefined) throw new StepFailed(error, "taken");
      return { channel: { id: "C2" } };
    };
    const SendEscalation: StepFunction = ({ channel = null }) => {
      if (channel === null) throw new StepFailed("Channel.Stale", "looked up again");
      return { escalated: true, skipped: [] };
    };
    const { sent } = await escalated("private", { EnsureChannel, SendEscalation });
    expect(sent[1]).toMatchObject({ channel: { id: "C2" }, channelFailure: null });
  });
});

describe("remind", () => {
  const [, , text = ""] = files.find(([name]) => name.startsWith("remind")) ?? [];
  const machine = JSON.parse(text) as Machine;
  const request = { userId: "U1", day: "2026-12-01", part: "first" };

  it("opens the direct message for an address that is still the person's, and passes on all others", async () => {
    const emails = ["ana@example.com", "passed@example.com", "out@example.com"];
    const users = [
      { email: "passed@example.com", id: "U2" },
      { email: "ana@example.com", id: "U1" },
    ];
    const conversation = { id: "D1", email: "ana@example.com", userId: "U1" };
    const out = { email: "out@example.com", reason: "opted_out" };
    const opened: Json[] = [];
    const sent: Json[] = [];
    await simulated(machine, request, {
      CheckRequest: () => request,
      FindReminder: () => ({ emails, waitSeconds: 0 }),
      FilterByPreference: () => ({ wanted: emails.slice(0, 2), skipped: [out] }),
      ResolveUsers: () => ({ users, skipped: [] }),
      OpenConversation: (input) => {
        opened.push(input);
        return { conversation, skipped: [] };
      },
      SendReminder: (input) => {
        sent.push(input);
        return { reminded: [], skipped: [out] };
      },
    });
    expect(opened).toEqual([{ users: [users[1]] }]);
    expect(sent).toEqual([{ ...request, conversation, users, skipped: [out] }]);
  });

  it("ends without a word to Slack if nothing is due", async () => {
    const { output, sizes } = await simulated(machine, request, {
      CheckRequest: () => request,
      FindReminder: () => ({ emails: [], waitSeconds: 0 }),
    });
    expect(output).toEqual({ reminded: [], skipped: [] });
    expect(sizes.map(({ state }) => state)).not.toContain("FilterByPreference");
  });
});

it("the drawings match the files", () => {
  expect(fs.readFileSync(DRAWING, "utf8"), "run `npm run draw` in tests/asl").toBe(drawing());
});

import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import * as fs from "node:fs";
import { describe, expect, it } from "vitest";
import { drawing, DRAWING } from "./draw.js";
import { formatted } from "./format.js";
import { machineFiles, type Machine } from "./machine.js";
import { RULES } from "./rules/all.js";
import { sameEverywhere } from "./rules/structure.js";
import { simulated } from "./simulation.js";

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

describe("update-item", () => {
  const [, , text = ""] = files.find(([name]) => name.startsWith("update-item")) ?? [];
  const machine = JSON.parse(text) as Machine;

  it.each([
    { visibility: "private", superseded: false, then: ["EnsureChannel", "UpdateCard"] },
    { visibility: "public", superseded: false, then: ["FindChannel", "UpdateCard"] },
    { visibility: "private", superseded: true, then: ["AnswerSuperseded"] },
    { visibility: "public", superseded: true, then: ["AnswerSuperseded"] },
  ])(
    "with a $visibility channel and superseded=$superseded continues with $then",
    async ({ visibility, superseded, then }) => {
      const item = { id: "guide-42", version: 7, superseded };
      const channel = { id: "C1", visibility };
      const { output, sizes } = await simulated(
        machine,
        {},
        {
          CheckRequest: () => ({ item: { ...item, channelName: "guide-42", visibility } }),
          RecordItem: () => ({ item }),
          EnsureChannel: () => ({ channel }),
          FindChannel: () => ({ channel }),
          UpdateCard: () => ({ card: null }),
        },
      );
      const states = new Set(sizes.map(({ state }) => state));
      expect([...states]).toEqual(["CheckRequest", "RecordItem", "ChooseChannel", ...then]);
      expect(output).toEqual(
        superseded ? { item, skipped: [] } : { channel, item, card: null, skipped: [] },
      );
    },
  );
});

it("the drawings match the files", () => {
  expect(fs.readFileSync(DRAWING, "utf8"), "run `npm run draw` in tests/asl").toBe(drawing());
});

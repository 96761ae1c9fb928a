import { getLanguageService, TextDocument } from "amazon-states-language-service";
import aslValidator from "asl-validator";
import * as fs from "node:fs";
import { describe, expect, it } from "vitest";
import { drawing, DRAWING } from "./draw.js";
import { formatted } from "./format.js";
import { machineFiles, type Machine } from "./machine.js";
import { RULES } from "./rules/all.js";
import { sameEverywhere } from "./rules/structure.js";

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

it("the drawings match the files", () => {
  expect(fs.readFileSync(DRAWING, "utf8"), "run `npm run draw` in tests/asl").toBe(drawing());
});

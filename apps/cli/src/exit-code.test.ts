import { ERROR_CATALOGUE } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { EXIT, EXIT_MEANINGS, exitCodeOf } from "./exit-code.ts";

describe("exitCodeOf()", () => {
  test.each([
    ["PLAN_MOVED", 4],
    ["FENCED", 4],
    ["LOCKED", 4],
    ["CONFLICT", 4],
    ["NOT_REVERTIBLE", 4],
    ["RUN_PENDING", 4],
    ["DAMAGED", 3],
    ["INVALID_ARGUMENT", 2],
    ["PARAMS_INVALID", 2],
    ["NAME_INVALID", 2],
    ["PORT_UNKNOWN", 2],
    ["INVALID_PIPELINE", 2],
    ["PIPELINE_MISSING", 2],
    ["INPUT_MISSING", 1],
    ["STAGE_FAILED", 1],
    ["FORMAT_UNKNOWN", 1],
  ])("%s ends with %i", (code, exitCode) => {
    expect(exitCodeOf(code)).toBe(exitCode);
  });

  test("no error of the catalogue ends like a success", () => {
    for (const code of Object.keys(ERROR_CATALOGUE)) expect(exitCodeOf(code)).toBeGreaterThan(EXIT.done);
  });

  test("a code that this release does not know is a failure, whatever its name", () => {
    expect(exitCodeOf("FROM_THE_FUTURE")).toBe(EXIT.failed);
    expect(exitCodeOf("constructor")).toBe(EXIT.failed);
  });
});

test("each exit code has a meaning for the help texts", () => {
  for (const code of Object.values(EXIT)) expect(EXIT_MEANINGS[code]).toBeTypeOf("string");
});

import { MementoError } from "@mementojs/memento";
import { CommanderError } from "commander";
import { describe, expect, test } from "vitest";

import { failureJson, failureOf, failureText, placeOf, stackText } from "./failure.ts";
import { styleOf } from "./terminal/style.ts";

const plain = styleOf({ colours: false });

describe("failureOf()", () => {
  test("an error of the catalogue keeps code, message and details", () => {
    const error = new MementoError("NOT_FOUND", "There is no run r1", { details: { run: "r1" } });
    expect(failureOf(error)).toMatchObject({
      code: "NOT_FOUND",
      message: "There is no run r1",
      details: { run: "r1" },
      exitCode: 1,
    });
  });

  test("a hint names the command line's option, not the library's", () => {
    const error = new MementoError("NOT_REVERTIBLE", "A sink cannot go back");
    expect(failureOf(error).hint).toBe("Go on without them by --force NAME for each, or choose another target.");
  });

  test("a hint of the place that raised the error is kept", () => {
    const error = new MementoError("KEY_MISSING", "No key", { hint: "Look into the safe." });
    expect(failureOf(error).hint).toBe("Look into the safe.");
    expect(failureOf(new MementoError("KEY_MISSING", "No key")).hint).toContain("MEMENTO_KEY_FILE");
  });

  test("an error of a newer library is told as it is", () => {
    const error = Object.assign(new Error("new"), {
      name: "MementoError",
      code: "FROM_THE_FUTURE",
      hint: "Wait.",
      details: {},
    });
    expect(failureOf(error)).toMatchObject({ code: "FROM_THE_FUTURE", hint: "Wait.", exitCode: 1 });
  });

  test("a wrong command line is an error of usage", () => {
    const error = new CommanderError(
      1,
      "commander.unknownOption",
      "error: unknown option '--foo'\n(Did you mean --force?)",
    );
    expect(failureOf(error)).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "unknown option '--foo' (Did you mean --force?)",
      exitCode: 2,
    });
  });

  test("anything else is called a defect", () => {
    const failure = failureOf(new TypeError("x is not a function"));
    expect(failure).toMatchObject({ code: "UNEXPECTED", exitCode: 1 });
    expect(failure.hint).toContain("defect");
    expect(failureOf("just text").message).toBe("just text");
  });

  test("the cause of a failed stage tells its place", () => {
    const cause = new Error("boom");
    cause.stack = "Error: boom\n    at load (file:///home/me/etl/pipeline.ts:12:9)\n    at node:internal/x:1:1";
    const error = new MementoError("STAGE_FAILED", "Stage load failed: boom", { cause });
    expect(failureOf(error).place).toBe("/home/me/etl/pipeline.ts:12:9");
  });
});

describe("placeOf()", () => {
  test("passes over Node, installed packages and the library", () => {
    const error = new Error("x");
    const library = new URL("orchestrator/runner.js", import.meta.resolve("@mementojs/memento")).href;
    error.stack = [
      "Error: x",
      "    at parse (node:internal/modules/x:1:2)",
      "    at z (/home/me/etl/node_modules/zod/index.js:3:4)",
      `    at run (${library}:5:6)`,
      "    at /home/me/etl/own.ts:7:8",
    ].join("\n");
    expect(placeOf(error)).toBe("/home/me/etl/own.ts:7:8");
  });

  test("is null where no line is the user's", () => {
    const error = new Error("x");
    error.stack = "Error: x\n    at parse (node:internal/modules/x:1:2)";
    expect(placeOf(error)).toBeNull();
    expect(placeOf("text")).toBeNull();
  });
});

describe("failureText() and failureJson()", () => {
  const failure = failureOf(new MementoError("LOCKED", "It is held"));

  test("a person reads message, hint and code, and no stack", () => {
    expect(failureText(failure, plain)).toBe(
      "error: It is held\n  hint: Wait until it ends, or stop it, and try again.\n  code: LOCKED\n",
    );
  });

  test("a program reads the same", () => {
    expect(failureJson(failure)).toEqual({
      error: {
        code: "LOCKED",
        message: "It is held",
        hint: "Wait until it ends, or stop it, and try again.",
        details: {},
      },
    });
  });
});

test("stackText() tells the causes too", () => {
  const error = new MementoError("STAGE_FAILED", "outer", { cause: new Error("inner") });
  expect(stackText(error)).toMatch(/outer[\s\S]*caused by: Error: inner/u);
});

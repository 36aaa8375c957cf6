import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { readArguments } from "./arguments.ts";

describe("readArguments()", () => {
  test("measures everything in five rounds when only a suite is named", () => {
    const args = readArguments(["stages"], "/home");
    assert.ok(args !== "help");
    assert.deepEqual([...args.engines], ["ours", "bare", "dbos", "restate"]);
    assert.deepEqual([args.suite, args.rounds, args.strict], ["stages", 5, false]);
  });

  test("takes the JSON file relative to where npm was called", () => {
    const args = readArguments(["stages", "--json", "a.json"], "/home");
    assert.ok(args !== "help");
    assert.equal(args.jsonFile, "/home/a.json");
  });

  const refused = [
    "",
    "stagez",
    "stages --rounds 0",
    "stages --only ours",
    "stages --only ours,bare,x",
    "stages --what",
  ];
  for (const line of refused) {
    test(`refuses "${line}" with exit code 2`, () => {
      assert.throws(() => readArguments(line.split(" ").filter(Boolean), "/home"), { name: "BenchError", exitCode: 2 });
    });
  }
});

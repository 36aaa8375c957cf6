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

  test("has engines, rounds and options of its own for each suite", () => {
    const args = readArguments(["vault", "--sizes", "1MB,10KB", "--kinds", "heads", "--saves", "5"], "/home");
    assert.ok(args !== "help");
    assert.deepEqual([args.rounds, args.saves], [3, 5]);
    assert.deepEqual([...args.sizes], ["10KB", "1MB"]);
    assert.deepEqual([...args.kinds], ["heads"]);
    assert.ok(args.engines.has("borg") && !args.engines.has("dbos"));
  });

  test("takes the JSON file relative to where npm was called", () => {
    const args = readArguments(["stages", "--json", "a.json"], "/home");
    assert.ok(args !== "help");
    assert.equal(args.jsonFile, "/home/a.json");
  });

  test("measures every store by all numbers of writers, and stages on another store only when told so", () => {
    const [stores, stages] = [readArguments(["stores"], "/"), readArguments(["stages", "--store", "postgres"], "/")];
    assert.ok(stores !== "help" && stages !== "help");
    assert.deepEqual(
      [[...stores.stateSizes], [...stores.writers]],
      [
        ["1KB", "1MB"],
        ["1", "8", "64"],
      ],
    );
    assert.ok(stores.engines.has("s3-minio") && !stores.engines.has("dbos"));
    assert.deepEqual([stores.stagesOn, stages.stagesOn], ["sqlite", "postgres"]);
    assert.deepEqual([...stages.engines], ["ours", "bare", "dbos"]);
  });

  const refused = [
    "",
    "stagez",
    "stages --rounds 0",
    "stages --only ours",
    "stages --only ours,bare,x",
    "stages --what",
    "stages --sizes 1MB",
    "vault --sizes 1GB",
    "vault --saves 1",
    "vault --only gzip",
    "vault --only ours,dbos",
    "vault --store postgres",
    "stages --store redis",
    "stages --writers 8",
    "stores --sizes 10KB",
    "stores --seconds 0",
  ];
  for (const line of refused) {
    test(`refuses "${line}" with exit code 2`, () => {
      assert.throws(() => readArguments(line.split(" ").filter(Boolean), "/home"), { name: "BenchError", exitCode: 2 });
    });
  }
});

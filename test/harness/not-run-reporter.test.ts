import { describe, expect, test } from "vitest";

import { describeNotRun } from "./not-run-reporter.ts";

describe("describeNotRun()", () => {
  test("says that nothing was left out", () => {
    expect(describeNotRun({ engines: [], files: [], tests: [] })).toBe("Not run: nothing was left out.\n");
  });

  test("names each engine with its reason, each broken file, and each test with its note", () => {
    const engines = [{ engine: "strace", reason: "not on PATH" }];
    const files = ["c.test.ts"];
    const tests = [
      { file: "a.test.ts", name: "append() > survives a lost flush" },
      { file: "b.test.ts", name: "open()", note: "needs root" },
    ];
    expect(describeNotRun({ engines, files, tests })).toBe(
      [
        "Not run: 1 engine, 1 file, 2 tests.",
        "  engine  strace: not on PATH",
        "  file    c.test.ts: failed before its tests",
        "  test    a.test.ts > append() > survives a lost flush",
        "  test    b.test.ts > open(): needs root",
        "",
      ].join("\n"),
    );
  });
});

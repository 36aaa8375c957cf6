import { describe, expect, test } from "vitest";

import { describeNotRun } from "./not-run-reporter.ts";

describe("describeNotRun()", () => {
  test("says that nothing was left out", () => {
    expect(describeNotRun([], [])).toBe("Not run: nothing was left out.\n");
  });

  test("names each engine with its reason, and each test with its note", () => {
    const engines = [{ engine: "strace", reason: "not on PATH" }];
    const skipped = [
      { file: "a.test.ts", name: "append() > survives a lost flush" },
      { file: "b.test.ts", name: "open()", note: "needs root" },
    ];
    expect(describeNotRun(engines, skipped)).toBe(
      [
        "Not run: 1 engine, 2 tests.",
        "  engine  strace: not on PATH",
        "  test    a.test.ts > append() > survives a lost flush",
        "  test    b.test.ts > open(): needs root",
        "",
      ].join("\n"),
    );
  });
});

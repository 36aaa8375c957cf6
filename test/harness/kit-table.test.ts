import { describe, expect, test } from "vitest";

import { countKits, renderKits, type TestReport } from "../../tools/kit-table.ts";

const tested = (name: string, status = "passed"): TestReport["testResults"][number]["assertionResults"][number] => {
  const titles = name.split(" > ");
  return { ancestorTitles: titles.slice(0, -1), title: titles.at(-1) ?? "", status };
};
const report = (...files: readonly string[][]): TestReport => ({
  success: true,
  testResults: files.map((names) => ({
    status: "passed",
    assertionResults: names.map((name) => tested(...(name.split(" = ") as [string, string?]))),
  })),
});

const kitOf = (driver: string): string[] => [
  `${driver} > append() > takes a record`,
  `${driver} > append() > refuses a stale parent = failed`,
  `${driver} > races > one wins = skipped`,
  `${driver} > reclaim() > frees space (not run, a known gap: there is none)`,
  `${driver} > every known gap names a test`,
];

describe("countKits()", () => {
  test("counts the kit's tests of each driver, and those alone", () => {
    const counts = countKits(
      report(
        [...kitOf("RedisStore"), "RedisStore > a test of its own", "openUrl() > refuses"],
        kitOf("S3Store > MinIO"),
      ),
    );
    const one = { passed: 2, failed: 1, skipped: 1, gaps: 1 };
    expect(counts).toEqual([
      { driver: "RedisStore", ...one },
      { driver: "S3Store > MinIO", ...one },
    ]);
  });

  test("does not take the sinks' kit for a store's", () => {
    expect(countKits(report(["sqliteTable > write() > writes", "sqliteTable > every known gap names a test"]))).toEqual(
      [],
    );
  });
});

describe("renderKits()", () => {
  test("is one table, and nothing where no kit was run", () => {
    const table = renderKits(countKits(report(kitOf("RedisStore"))));
    expect(table.split("\n").map((line) => line.split(/ {2,}/u))).toEqual([
      ["Tests of the stores' kit", "passed", "failed", "skipped", "known gaps"],
      ["------------------------", "------", "------", "-------", "----------"],
      ["RedisStore", "2", "1", "1", "1"],
      [""],
    ]);
    expect(renderKits([])).toBe("");
  });
});

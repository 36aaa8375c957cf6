/** The part of a test runner's JSON report that is read here. */
export interface TestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly ReportedTest[];
  }[];
}

interface ReportedTest {
  readonly ancestorTitles: readonly string[];
  readonly title: string;
  readonly status: string;
}

/** What one driver, or one wrapper around a driver, did with the stores' conformance kit. */
export interface KitCount {
  /** The name of the describe that the kit was run in. */
  readonly driver: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Tests that were declared as known gaps, and so were printed in place of being run. */
  readonly gaps: number;
}

/** Every run of a kit ends with this test; `kit.ts` declares it. */
const CLOSING_TEST = "every known gap names a test";
/** What the stores' kit has and the sinks' has not. */
const STORE_GROUP = "append()";
const KNOWN_GAP = /\(not run, a known gap: /u;

/** Who ran the stores' kit, in the order of the report. A kit that was run in several files counts once, with all of them. */
export function countKits({ testResults }: TestReport): readonly KitCount[] {
  const counts = new Map<string, KitCount>();
  for (const { assertionResults: tests } of testResults) {
    const drivers = new Set(tests.filter(({ title }) => title === CLOSING_TEST).map(driverOf));
    for (const driver of drivers) {
      const own = tests.filter((test) => driverOf(test) === driver || driverOf(test).startsWith(`${driver} > `));
      if (!own.some(({ ancestorTitles }) => ancestorTitles.includes(STORE_GROUP))) continue;
      const ofKit = own.filter((test) => test.title === CLOSING_TEST || driverOf(test) !== driver);
      const before = counts.get(driver) ?? { driver, passed: 0, failed: 0, skipped: 0, gaps: 0 };
      counts.set(driver, ofKit.reduce(withTest, before));
    }
  }
  return [...counts.values()];
}

function withTest(count: KitCount, { title, status }: ReportedTest): KitCount {
  if (status === "failed") return { ...count, failed: count.failed + 1 };
  if (status !== "passed") return { ...count, skipped: count.skipped + 1 };
  if (KNOWN_GAP.test(title)) return { ...count, gaps: count.gaps + 1 };
  return { ...count, passed: count.passed + 1 };
}

function driverOf({ ancestorTitles }: ReportedTest): string {
  return ancestorTitles.join(" > ");
}

/** The table for people; empty when no kit was run. */
export function renderKits(counts: readonly KitCount[]): string {
  if (counts.length === 0) return "";
  const lines = [
    ["Tests of the stores' kit", "passed", "failed", "skipped", "known gaps"],
    ...counts.map((count) => [
      count.driver,
      ...[count.passed, count.failed, count.skipped, count.gaps].map((number) => String(number)),
    ]),
  ];
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
  text.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return `${text.join("\n")}\n`;
}

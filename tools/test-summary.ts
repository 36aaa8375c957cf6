/**
 * Prints, from the JSON report of a test run, how many tests of the stores' kit each driver ran, and as the last line
 * `N passed, N failed, N skipped`. A file that failed before any of its tests could run counts as a failure. Ends 1
 * when something failed or nothing passed.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

import { countKits, renderKits, type TestReport } from "./kit-table.ts";

const report = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as TestReport;
const states = report.testResults.flatMap((file) => {
  const tests = file.assertionResults.map((test) => test.status);
  return file.status === "failed" && !tests.includes("failed") ? [...tests, "failed"] : tests;
});
const passed = states.filter((state) => state === "passed").length;
const failed = states.filter((state) => state === "failed").length;

process.stdout.write(`${renderKits(countKits(report))}\n`);
process.stdout.write(`${passed} passed, ${failed} failed, ${states.length - passed - failed} skipped\n`);
process.exitCode = report.success && failed === 0 && passed > 0 ? 0 : 1;

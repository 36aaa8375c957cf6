import { randomUUID } from "node:crypto";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { defineConfig } from "vitest/config";

import { requiresEverything } from "./test/harness/engines.ts";
import { NotRunReporter } from "./test/harness/not-run-reporter.ts";

const everything = requiresEverything();

const notRunFile = path.join(tmpdir(), `memento-not-run-${randomUUID()}.jsonl`);
/** Thousands of processes are started that import the same sources: the types are taken out of them once. */
const compileCache = path.resolve("node_modules/.cache/compile");
const reportFile = process.env["MEMENTO_TEST_REPORT"];

/** Builds first: these tests go through `dist`, by the package's name or by the command line. */
const built = ["./test/harness/build.ts"];

export default defineConfig({
  test: {
    reporters: [
      "default",
      ...(reportFile === undefined ? [] : [["json", { outputFile: reportFile }] as ["json", object]]),
      new NotRunReporter(notRunFile),
    ],
    env: { MEMENTO_NOT_RUN_FILE: notRunFile, NODE_COMPILE_CACHE: compileCache },
    restoreMocks: true,
    // Most of the time goes by in child processes and in waiting for the disk: one worker a core leaves a core idle, and more than two
    // are too many beside all engines.
    maxWorkers: everything ? 2 : Math.max(2, availableParallelism()),
    // Nothing is measured by these: they only end what hangs, on a busy machine too.
    testTimeout: 600_000,
    hookTimeout: 300_000,
    projects: [
      { extends: true, test: { name: "library", include: ["packages/*/src/**/*.test.ts"] } },
      { extends: true, test: { name: "apps", include: ["apps/*/src/**/*.test.ts"], globalSetup: built } },
      {
        extends: true,
        test: {
          name: "end-to-end",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          globalSetup: built,
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

import { rmSync } from "node:fs";
import process from "node:process";

import type { Reporter, TestCase, TestModule } from "vitest/node";

import { readMissingEngines } from "./engines.ts";
import type { MissingEngine } from "./engines.ts";

/** A test that was collected and did not run. */
export interface SkippedTest {
  readonly file: string;
  readonly name: string;
  readonly note?: string | undefined;
}

/** What a test run left out: engines that were missing, files that broke before their tests, and skipped tests. */
export interface NotRun {
  readonly engines: readonly MissingEngine[];
  readonly files: readonly string[];
  readonly tests: readonly SkippedTest[];
}

/** The closing list of a test run: all that it left out, by name. */
export function describeNotRun({ engines, files, tests }: NotRun): string {
  if (engines.length + files.length + tests.length === 0) return "Not run: nothing was left out.\n";
  const lines = [`Not run: ${count(engines, "engine")}, ${count(files, "file")}, ${count(tests, "test")}.`];
  for (const { engine, reason } of engines) lines.push(`  engine  ${engine}: ${reason}`);
  for (const file of files) lines.push(`  file    ${file}: failed before its tests`);
  for (const { file, name, note } of tests) {
    lines.push(`  test    ${file} > ${name}${note === undefined ? "" : `: ${note}`}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Prints, after the summary, what the run left out. `file` is where `requireEngine` registers a missing engine. */
export class NotRunReporter implements Reporter {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  onTestRunStart(): void {
    rmSync(this.#file, { force: true });
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    // Without a single file the run broke down before its tests, and "nothing was left out" would be untrue.
    if (modules.length === 0) return;
    const tests = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map((test) => skippedTest(module, test)),
    );
    const broken = modules.filter((module) => module.state() === "failed" && module.children.size === 0);
    const files = broken.map((module) => module.relativeModuleId);
    const engines = readMissingEngines(this.#file);
    process.stdout.write(`\n${describeNotRun({ engines, files, tests })}`);
    rmSync(this.#file, { force: true });
  }
}

function skippedTest(module: TestModule, test: TestCase): SkippedTest {
  const result = test.result();
  const note = result.state === "skipped" ? result.note : undefined;
  return { file: module.relativeModuleId, name: test.fullName, note };
}

function count(things: readonly unknown[], noun: string): string {
  return `${things.length} ${noun}${things.length === 1 ? "" : "s"}`;
}

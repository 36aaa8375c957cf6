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

/** The closing list of a test run: every engine that was missing and every test that was skipped, by name. */
export function describeNotRun(engines: readonly MissingEngine[], skipped: readonly SkippedTest[]): string {
  if (engines.length === 0 && skipped.length === 0) return "Not run: nothing was left out.\n";
  const lines = [`Not run: ${count(engines, "engine")}, ${count(skipped, "test")}.`];
  for (const { engine, reason } of engines) lines.push(`  engine  ${engine}: ${reason}`);
  for (const { file, name, note } of skipped) {
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
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map((test) => skippedTest(module, test)),
    );
    process.stdout.write(`\n${describeNotRun(readMissingEngines(this.#file), skipped)}`);
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

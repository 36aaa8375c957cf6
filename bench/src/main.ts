import { writeFileSync } from "node:fs";

import { readArguments, USAGE, type BenchArguments, type SuiteName } from "./arguments.ts";
import { BenchError } from "./bench-error.ts";
import { endAllChildren } from "./children.ts";
import { machineFacts } from "./machine.ts";
import { renderTable, renderTargets, toRow, type Comparison } from "./report.ts";
import { Scratch } from "./scratch.ts";
import { stagesSuite } from "./suites/stages.ts";
import { renderStores } from "./suites/stores-table.ts";
import { storesSuite } from "./suites/stores.ts";
import type { Suite } from "./suites/suite.ts";
import { vaultSuite } from "./suites/vault.ts";

interface Report {
  readonly run: Suite;
  readonly render: (comparisons: readonly Comparison[]) => string;
}

const suites: Readonly<Record<SuiteName, Report>> = {
  stages: { run: stagesSuite, render: renderTable },
  vault: { run: vaultSuite, render: renderTargets },
  stores: { run: storesSuite, render: renderStores },
};

/** Runs one suite and reports; the exit code. */
async function bench(args: BenchArguments): Promise<number> {
  using scratch = new Scratch(args.directory);
  process.stdout.write(
    `${await machineFacts(scratch.path, args.engines)}\nrounds    ${args.rounds}, interleaved, in alternating order\n\n`,
  );
  const { run, render } = suites[args.suite];
  const comparisons = await run({
    ...args,
    scratch,
    say: (line) => process.stderr.write(`bench: ${line}\n`),
    print: (text) => process.stdout.write(`${text}\n`),
  });
  const rows = comparisons.map(toRow);
  process.stdout.write(`\n${render(comparisons)}\n`);
  if (args.jsonFile !== undefined) writeFileSync(args.jsonFile, `${JSON.stringify(rows, null, 2)}\n`);
  const missed = rows.filter(({ met }) => met === false);
  if (missed.length > 0)
    process.stdout.write(`\nmissed: ${missed.map(({ work, target }) => `${work} (${target})`).join(", ")}\n`);
  return args.strict && missed.length > 0 ? 1 : 0;
}

// Told to stop, the bench first ends what it started: a server that still writes would survive the removal of its folder.
let toldToStop = false;
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    toldToStop = true;
    void endAllChildren().finally(() => process.exit(exitCode));
  });
}

try {
  const args = readArguments(process.argv.slice(2), process.env["INIT_CWD"] ?? process.cwd());
  if (args === "help") process.stdout.write(USAGE);
  else process.exitCode = await bench(args);
} catch (error) {
  // A measurement that lost its process to the stop above is no failure of its own.
  if (!toldToStop) {
    if (!(error instanceof BenchError)) throw error;
    process.stderr.write(`bench: ${error.message}\n`);
    process.exitCode = error.exitCode;
  }
}

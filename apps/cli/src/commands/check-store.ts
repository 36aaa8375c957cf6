import { MementoError } from "@mementojs/memento";
import { testStore } from "@mementojs/memento/testing";
import type { Command } from "commander";

import { checkedDriver, type CheckedDriver } from "../checking/driver.ts";
import { collectTests, runTest, type KitResult, type KitTest } from "../checking/kit-runner.ts";
import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { printable } from "../terminal/printable.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { counted, durationText } from "../terminal/words.ts";

interface CheckStoreOptions {
  readonly grep?: RegExp;
}

/** `memento check-store DRIVER`: the conformance kit, run on somebody's driver or server. */
export function registerCheckStore(program: Command, run: Runner): void {
  const command = program
    .command("check-store")
    .summary("run the conformance kit on a driver, or on a server of yours")
    .description(
      "Runs every test of the conformance kit on a store's driver: one line for each, and how many failed. A driver that passes may be used wherever Memento takes a store.",
    )
    .argument("<driver>", "the module of a driver, or the URL of a store with {n} in it")
    .option("--grep <text>", "only tests whose names hold this text, or fit it as a regular expression", pattern)
    .action(
      async (driver: string, options: CheckStoreOptions) =>
        await run(async (invocation) => await checkStore(invocation, driver, options)),
    );
  addHelp(command, {
    notes: [
      `A module exports openStore(address), which gives a store, and place(), which makes an empty place for one test: an object with
open(), address and dispose(). Processes of the kit load the module too, to race and to be killed.

In a URL {n} stands for another text in each test, so that each has an empty place of its own. What the tests leave on a
server is not taken away: give them a database or a bucket of their own.`,
    ],
    examples: [
      ["memento check-store ./driver.ts", "a driver of your own"],
      ["memento check-store 'file:/mnt/shared/check-{n}'", "a file system of yours"],
      ["memento check-store 'postgres://db/test?schema=check_{n}' --grep append", "a part of it, on your server"],
    ],
    exitCodes: [130, 143],
  });
}

async function checkStore(invocation: Invocation, subject: string, { grep }: CheckStoreOptions): Promise<Outcome> {
  const { io, json, style } = invocation;
  const driver = await checkedDriver(subject, io.cwd);
  const { tests, ...declare } = collectTests();
  testStore({ ...driver, ...declare });
  const chosen = tests.filter(({ name }) => grep === undefined || grep.test(name));
  if (chosen.length === 0) throw new MementoError("INVALID_ARGUMENT", `No test of the kit fits ${String(grep)}`);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the check ends with this test");
  const startedMs = io.clock.monotonic();
  const results: KitResult[] = [];
  for (const test of chosen) {
    stop.signal.throwIfAborted();
    line.update({ label: nameOfGroup(test), done: results.length, total: chosen.length, unit: "tests" });
    const result = await runTest(test, () => io.clock.monotonic());
    results.push(result);
    line.update(null);
    if (!json) io.out.write(`${printable(resultText(result, style))}\n`);
  }
  const failed = results.filter(({ passed }) => !passed);
  const durationMs = Math.round(io.clock.monotonic() - startedMs);
  const { url, supports, leavesPlaces } = driver;
  return {
    json: {
      store: url,
      supports,
      passed: results.length - failed.length,
      failed: failed.length,
      durationMs,
      tests: results,
    },
    text: () =>
      summary(driver, results, durationMs, style) + (leavesPlaces ? `\nWhat the tests have made is still there.` : ""),
    exitCode: failed.length === 0 ? EXIT.done : EXIT.failed,
  };
}

const nameOfGroup = ({ name }: KitTest): string => name.split(" > ")[0] ?? name;

function resultText({ name, passed, ms, error }: KitResult, style: Invocation["style"]): string {
  if (passed) return `${style.green("✓")} ${name} ${style.dim(durationText(ms))}`;
  const why = (error ?? "").split("\n").map((text) => `    ${text}`);
  return [`${style.red("✗")} ${name} ${style.dim(durationText(ms))}`, ...why].join("\n");
}

function summary(
  { url }: CheckedDriver,
  results: readonly KitResult[],
  durationMs: number,
  style: Invocation["style"],
): string {
  const failed = results.filter(({ passed }) => !passed);
  const passed = `${counted(results.length - failed.length, "test")} passed`;
  const took = `in ${durationText(durationMs)}`;
  if (failed.length === 0) return `\n${style.green(`${url}: all ${passed}`)}, ${took}.`;
  const names = failed.map(({ name }) => `  ${name}`).join("\n");
  return `\n${style.red(`${url}: ${counted(failed.length, "test")} failed`)}, ${passed}, ${took}.\n${names}`;
}

/** Text, or a regular expression where it is one. */
function pattern(value: string): RegExp {
  try {
    return new RegExp(value, "u");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return new RegExp(value.replaceAll(/[\\^$.*+?()[\]{}|/-]/gu, String.raw`\$&`), "u");
  }
}

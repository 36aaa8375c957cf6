import { isMementoError, type CopyReport } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { failureOf } from "../failure.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { bytesPerSecond, milliseconds } from "../option-values.ts";
import { caretakerNamed } from "../pipelines/caretakers.ts";
import { KEYS_NOTE, openTransfer, type TransferOptions } from "../place/transfer-stores.ts";
import { copyText } from "../report/copy-text.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { counted } from "../terminal/words.ts";

interface SyncCommandOptions extends TransferOptions {
  readonly caretaker?: string;
  readonly delete?: true;
  readonly watch?: true;
  readonly interval?: number;
  readonly bandwidth?: number;
}

/** `memento sync --from URL --to URL`: makes a store what another one is, once or all the time. */
export function registerSync(program: Command, run: Runner): void {
  const command = program
    .command("sync")
    .summary("make a store what another one is, once or all the time")
    .description(
      "Brings a store up to another one: what it has not yet, and policies and pins as they are there. With --watch it goes on, following the other one's log. Every round ends with a comparison of both.",
    )
    .requiredOption("--from <url>", "the store to follow")
    .requiredOption("--to <url>", "the store to bring up to it; made where there is none")
    .option("--from-keys <keys>", "the keys of the store to follow")
    .option("--to-keys <keys>", "the keys of the other one")
    .option("--caretaker <name>", "only this caretaker")
    .option("--delete", "remove what was removed there; else it stays")
    .option("--watch", "go on until Ctrl-C")
    .option("--interval <time>", "the time between two rounds of --watch, for example 5s (the default)", milliseconds)
    .option("--bandwidth <rate>", "read no more than that a second, for example 10MB", bytesPerSecond)
    .action(async (options: SyncCommandOptions) => await run(async (invocation) => await sync(invocation, options)));
  addHelp(command, {
    notes: [
      `An incremental backup is a sync into a store that nothing else writes to; \`memento gc\` cleans it by its own policies.`,
      KEYS_NOTE,
    ],
    examples: [
      ["memento sync --from postgres://db/memento --to s3://backup/memento", "what came since the last time"],
      ["memento sync --from sqlite:a.db --to sqlite:b.db --watch --delete", "a mirror"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function sync(invocation: Invocation, options: SyncCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  const startedMs = io.clock.monotonic();
  const { caretaker, interval, bandwidth } = options;
  await using stores = await openTransfer(options, io, async (from) => {
    if (caretaker === undefined) return {};
    // Whoever watches may wait for the first memento.
    return options.watch === true ? { caretaker } : await caretakerNamed(from, caretaker);
  });
  using line = new ProgressLine(io);
  const answer = options.watch === true ? "it ends here" : "the same command goes on where it was";
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, answer);
  const rounds: CopyReport[] = [];
  try {
    const report = await stores.from.syncTo(stores.to, {
      delete: options.delete ?? false,
      watch: options.watch ?? false,
      signal: stop.signal,
      ...(caretaker === undefined ? {} : { caretaker }),
      ...(interval === undefined ? {} : { intervalMs: interval }),
      ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth }),
      onProgress: ({ mementos, total }) => line.update({ label: "sync", done: mementos, total, unit: "mementos" }),
      onRound: (round) => {
        rounds.push(round);
        line.update(null);
        if (options.watch === true) line.note(roundText(round, new Date(io.clock.now()).toISOString()));
      },
      onFailedRound: (error) => {
        const { message, code } = failureOf(error);
        line.note(`${message} (${code}); it is tried again`);
      },
    });
    return outcomeOf(report, io.clock.monotonic() - startedMs, style);
  } catch (error) {
    // Following has no other end than this one.
    const last = rounds.at(-1);
    const isEnd = options.watch === true && stop.signal.aborted && isMementoError(error, "CANCELLED");
    if (!isEnd || last === undefined) throw error;
    const json = { ...summed(rounds, last), rounds: rounds.length };
    return { json, text: () => `Followed for ${counted(rounds.length, "round")}.` };
  }
}

function outcomeOf(report: CopyReport, durationMs: number, style: Invocation["style"]): Outcome {
  return {
    json: { ...report, durationMs: Math.round(durationMs) },
    text: () => copyText(report, durationMs, style),
    exitCode: report.verified?.identical === false ? EXIT.failed : EXIT.done,
  };
}

function roundText({ copied, deleted, verified }: CopyReport, at: string): string {
  const removed = deleted > 0 ? `, ${counted(deleted, "memento")} removed` : "";
  const same = verified === null ? "" : verified.identical ? `; verified ${verified.digest}` : "; NOT the same";
  return `${at}  ${counted(copied, "memento")} copied${removed}${same}`;
}

function summed(rounds: readonly CopyReport[], last: CopyReport): CopyReport {
  const sum = (of: (report: CopyReport) => number): number => rounds.reduce((all, round) => all + of(round), 0);
  return {
    ...last,
    copied: sum(({ copied }) => copied),
    removedCopied: sum(({ removedCopied }) => removedCopied),
    deleted: sum(({ deleted }) => deleted),
    evidence: sum(({ evidence }) => evidence),
    bytes: sum(({ bytes }) => bytes),
  };
}

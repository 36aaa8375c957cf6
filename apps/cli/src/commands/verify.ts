import type { Damage, VerifyReport } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { bytesText, counted, durationText } from "../terminal/words.ts";

/** `memento verify`: reads every byte of the store and checks it. */
export function registerVerify(program: Command, run: Runner): void {
  const command = program
    .command("verify")
    .summary("read every byte of the store and check it")
    .description(
      "Reads the whole store, every byte, and checks it: seals, digests, references between mementos, the chain of history. Changes nothing.",
    )
    .action(async () => await run(async (invocation) => await verify(invocation)));
  addHelp(command, {
    examples: [
      ["memento verify", "the store of this project"],
      ["memento verify --store sqlite:copy.db", "a copy"],
    ],
    exitCodes: [EXIT.damaged, 130, 143],
  });
}

async function verify(invocation: Invocation): Promise<Outcome> {
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the verification ends here");
  const startedMs = io.clock.monotonic();
  const report = await memento.verify({
    signal: stop.signal,
    onProgress: ({ mementos, total }) => line.update({ label: "verify", done: mementos, total, unit: "mementos" }),
  });
  const durationMs = io.clock.monotonic() - startedMs;
  return {
    json: { ...report, store: memento.vault.store.url, durationMs: Math.round(durationMs) },
    text: () => reportText(report, { style, url: memento.vault.store.url, durationMs }),
    exitCode: report.sound ? EXIT.done : EXIT.damaged,
  };
}

interface ReportOptions {
  readonly style: Style;
  readonly url: string;
  readonly durationMs: number;
}

function reportText(
  { sound, mementos, bytes, damages }: VerifyReport,
  { style, url, durationMs }: ReportOptions,
): string {
  const read = `${counted(mementos, "memento")}, ${bytesText(bytes)}, in ${durationText(durationMs)}`;
  if (sound) return `${style.green("Sound:")} every byte of ${url} was read and checked (${read}).`;
  const head = `${style.red("Damaged:")} ${counted(damages.length, "damage")} found in ${url} (read ${read}).`;
  return [head, ...damages.map((damage) => damageText(damage, style))].join("\n\n");
}

function damageText({ problem, mementos, nearestGood }: Damage, style: Style): string {
  const affected = mementos.map((id) => {
    const good = nearestGood[id];
    return `  ${style.bold(id)}  ${good === null || good === undefined ? "no good memento is left on its timeline" : `nearest good: ${style.green(good)}`}`;
  });
  return [problem, ...(affected.length === 0 ? ["  No live memento is affected."] : affected)].join("\n");
}

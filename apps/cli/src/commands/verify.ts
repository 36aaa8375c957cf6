import { rm } from "node:fs/promises";
import path from "node:path";

import { MementoError, type VerifyOptions } from "@mementojs/memento";
import { InvalidArgumentError, type Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { openMemento } from "../place/store-place.ts";
import { readVerifyState, writeVerifyState } from "../place/verify-state.ts";
import { verifyText } from "../report/verify-text.ts";
import { ownCommand } from "../terminal/own-command.ts";
import { ProgressLine } from "../terminal/progress-line.ts";

type Scope = NonNullable<VerifyOptions["scope"]>;

interface VerifyCommandOptions {
  readonly quick?: boolean;
  readonly sample?: { readonly count: number } | { readonly share: number };
  readonly seed?: string;
  readonly state?: string;
  readonly timeline?: string;
}

/** `memento verify`: reads every byte of the store and checks it. */
export function registerVerify(program: Command, run: Runner): void {
  const command = program
    .command("verify")
    .summary("read every byte of the store and check it")
    .description(
      "Reads the whole store, every byte, and checks it: seals, digests, references between mementos, the chain of history. Changes nothing. With less than that, it says what it did not read.",
    )
    .argument("[target]", "this memento and all that it needs, and nothing else")
    .option("--timeline <name>", "the timeline of the target, where there are several")
    .option("--quick", "compare index, headers, checks and lengths; open no body")
    .option("--sample <n>", "so many mementos drawn at random, or a share such as 5%", sampleSize)
    .option("--seed <text>", "draw the sample that this seed has drawn before")
    .option("--state <file>", "write down there how far it is, and go on from there when it was stopped")
    .action(
      async (target: string | undefined, options: VerifyCommandOptions) =>
        await run(async (invocation) => await verify(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento verify", "the store of this project, all of it"],
      ["memento verify --store sqlite:copy.db", "a copy"],
      ["memento verify head", "one memento"],
      ["memento verify --sample 5%", "a twentieth of the mementos, each whole"],
      ["memento verify --state verify.json", "in parts: stop it, and start it again to go on"],
    ],
    exitCodes: [EXIT.damaged, 130, 143],
  });
}

async function verify(
  invocation: Invocation,
  target: string | undefined,
  options: VerifyCommandOptions,
): Promise<Outcome> {
  const { io, style } = invocation;
  const asked = scopeOf(target, options);
  const stateFile = options.state === undefined ? null : path.resolve(io.cwd, options.state);
  await using memento = await openMemento(invocation);
  const scope =
    asked.kind === "memento" ? { ...asked, id: await findMemento(memento, asked.id, options.timeline) } : asked;
  const resume = stateFile === null ? null : await readVerifyState(stateFile, memento.vault.meta.id);
  using line = new ProgressLine(io);
  if (resume !== null) line.note(`Goes on behind ${resume.mementos} mementos that were read before`);
  const later = scope.kind === "everything" ? "--state FILE makes it go on later" : "nothing was changed";
  const goOn =
    stateFile === null ? later : `${ownCommand(invocation, "verify", "--state", options.state ?? "")} goes on`;
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, `the verification ends here; ${goOn}`);
  const startedMs = io.clock.monotonic();
  const report = await memento.verify({
    scope,
    signal: stop.signal,
    onProgress: ({ mementos, total }) => line.update({ label: "verify", done: mementos, total, unit: "mementos" }),
    ...(resume === null ? {} : { resume }),
    ...(stateFile === null ? {} : { onState: async (state) => await writeVerifyState(stateFile, state) }),
  });
  if (stateFile !== null) await rm(stateFile, { force: true });
  const durationMs = io.clock.monotonic() - startedMs;
  const { url } = memento.vault.store;
  return {
    json: { ...report, store: url, durationMs: Math.round(durationMs) },
    text: () => verifyText(report, { style, url, durationMs, repair: ownCommand(invocation, "repair") }),
    exitCode: report.sound ? EXIT.done : EXIT.damaged,
  };
}

/** What is to be read; a memento as it was named. */
function scopeOf(target: string | undefined, { quick, sample, seed, state, timeline }: VerifyCommandOptions): Scope {
  const chosen = [target !== undefined, quick === true, sample !== undefined].filter((one) => one).length;
  if (chosen > 1)
    throw new MementoError("INVALID_ARGUMENT", "A memento, --quick and --sample are three ways; choose one");
  if (state !== undefined && chosen > 0)
    throw new MementoError("INVALID_ARGUMENT", "--state is for the verification of everything");
  if (seed !== undefined && sample === undefined)
    throw new MementoError("INVALID_ARGUMENT", "--seed draws a sample: give --sample too");
  if (timeline !== undefined && target === undefined)
    throw new MementoError("INVALID_ARGUMENT", "--timeline says on which one a memento is: name the memento too");
  if (target !== undefined) return { kind: "memento", id: target };
  if (quick === true) return { kind: "index" };
  if (sample !== undefined) return { kind: "sample", ...sample, ...(seed === undefined ? {} : { seed }) };
  return { kind: "everything" };
}

/** Reads `200` or `5%`. */
function sampleSize(value: string): { readonly count: number } | { readonly share: number } {
  const share = /^(\d{1,3}(?:\.\d{1,6})?)%$/u.exec(value)?.[1];
  if (share !== undefined && Number(share) > 0 && Number(share) <= 100) return { share: Number(share) / 100 };
  if (/^[1-9]\d{0,8}$/u.test(value)) return { count: Number(value) };
  throw new InvalidArgumentError("It must be a whole number from 1 on, or a share such as 5%.");
}

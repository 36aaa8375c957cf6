import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { MementoError, type Memento, type Replica } from "@mementojs/memento";
import { shownUrl, systemCode } from "@mementojs/memento/core";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { openReplicas } from "../place/replicas.ts";
import { findStore, openMemento } from "../place/store-place.ts";
import { repairPlanText, repairResultText } from "../report/repair-text.ts";
import { ownCommand } from "../terminal/own-command.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { shellWord } from "../terminal/shell-word.ts";

interface RepairCommandOptions {
  readonly from?: readonly string[];
  readonly accept?: readonly string[];
  readonly apply?: boolean;
  readonly plan?: string;
  readonly why?: string;
}

/** `memento repair`: says how a damaged store can be mended, and mends it by a plan that was looked at. */
export function registerRepair(program: Command, run: Runner): void {
  const command = program
    .command("repair")
    .summary("mend a damaged store, by a plan that was looked at")
    .description(
      "Reads the whole store and says what can be mended: packs from replicas, the index from the commits; what is beyond help is set aside and marked as removed, so that the rest verifies. Changes nothing without --apply.",
    )
    .option("--from <place>", "a store's URL or a .memento file that may have what is lost; repeat for more", collect)
    .option("--accept <name>", "agree to an item that needs it; repeat for more", collect)
    .option("--apply", "do it; needs --plan")
    .option("--plan <hash>", "the hash of the plan that was shown")
    .option("--why <text>", "the reason; kept as evidence")
    .action(
      async (options: RepairCommandOptions) => await run(async (invocation) => await repair(invocation, options)),
    );
  addHelp(command, {
    notes: [
      "Give --from and --accept again with --apply: they are part of the plan. Stop what writes to the store first. Interrupted, run it again.",
    ],
    examples: [
      ["memento repair --from sqlite:backup.db", "what could be done, with a copy at hand"],
      ["memento repair --from sqlite:backup.db --apply --plan HASH", "do what was shown"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function repair(invocation: Invocation, options: RepairCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  if (options.apply === true && options.plan === undefined)
    throw new MementoError("INVALID_ARGUMENT", "--apply needs --plan HASH, from `memento repair` without --apply");
  await using memento = await openMemento(invocation);
  await using opened = await openReplicas(memento, options.from ?? [], io);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "run it again to go on");
  const common = {
    replicas: opened.replicas,
    accept: options.accept ?? [],
    signal: stop.signal,
    onProgress: ({ mementos, total }: { readonly mementos: number; readonly total: number }) =>
      line.update({ label: "verify", done: mementos, total, unit: "mementos" }),
  };
  return options.apply === true
    ? await apply(invocation, memento, { ...common, plan: options.plan ?? "", why: options.why ?? "" })
    : await plan(invocation, memento, common, options);
}

type Common = Parameters<Memento["planRepair"]>[0] & { readonly replicas: readonly Replica[] };

async function plan(
  invocation: Invocation,
  memento: Memento,
  common: Common,
  { from = [], accept = [] }: RepairCommandOptions,
): Promise<Outcome> {
  const found = await memento.planRepair(common);
  const words = [...from.flatMap((place) => ["--from", place]), ...accept.flatMap((name) => ["--accept", name])];
  const { url } = memento.vault.store;
  return {
    json: { ...found, store: url },
    text: () =>
      repairPlanText(found, {
        style: invocation.style,
        url,
        apply: ownCommand(invocation, "repair", ...words),
        takeOut: takeOut(url),
      }),
    exitCode: found.sound ? EXIT.done : EXIT.damaged,
  };
}

async function apply(
  invocation: Invocation,
  memento: Memento,
  options: Common & { readonly plan: string; readonly why: string },
): Promise<Outcome> {
  const { path: place } = findStore(invocation);
  const aside = place === null ? null : `${place}.quarantine`;
  const result = await memento.repair({
    ...options,
    ...(aside === null ? {} : { setAside: async (name, bytes) => await setAside(aside, name, bytes) }),
  });
  const { url } = memento.vault.store;
  return {
    json: { ...result, store: url, quarantine: result.quarantined.length === 0 ? null : aside },
    text: () => repairResultText(result, { style: invocation.style, url, takeOut: takeOut(url) }, aside),
    exitCode: result.after.sound ? EXIT.done : EXIT.damaged,
  };
}

/** Into a new store beside nothing that is there. */
const takeOut = (url: string): string =>
  ["memento", "copy", "--from", shownUrl(url), "--to", "sqlite:rescued.db"].map((word) => shellWord(word)).join(" ");

/** What is there already was put there by an earlier attempt, before anything of it changed. */
async function setAside(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    await writeFile(path.join(folder, name), bytes, { flag: "wx", mode: 0o600, flush: true });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

import { MementoError, type Memento, type MementoEntry } from "@mementojs/memento";
import { decodePackHeader } from "@mementojs/memento/store";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { timelineName, timelineNames } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";
import { reasonText } from "../report/memento-facts.ts";
import { counted } from "../terminal/words.ts";

interface RmOptions {
  readonly timeline?: string;
  readonly yes?: true;
  readonly secure?: true;
  readonly reason?: string;
  readonly by?: string;
}

/** `memento rm ID...`: removes mementos. */
export function registerRm(program: Command, run: Runner): void {
  const command = program
    .command("rm")
    .summary("remove mementos")
    .description(
      "Removes mementos. Others are not harmed: what they share with a removed one stays. The head of a pipeline's timeline cannot be removed.",
    )
    .argument("<memento...>", "TARGETs")
    .option("--timeline <name>", "the timeline on which they are, where that is not clear")
    .option("--secure", "so that nobody can open them again: their data keys are destroyed")
    .option("--reason <text>", "with --secure: why; kept as evidence")
    .option("--by <name>", "with --secure: who asks; kept as evidence")
    .option("-y, --yes", "without asking; needed where there is no terminal to ask on")
    .action(
      async (targets: readonly string[], options: RmOptions) =>
        await run(async (invocation) => await remove(invocation, targets, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento rm k2v9qm4x7c1d-17-x8f2k1", "one memento, after asking"],
      ["memento rm head~5 head~6 --yes", "two, without asking"],
      ["memento rm invoice-7 --secure --reason 'request of 3 May'", "for good: not even the key opens a copy"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function remove(invocation: Invocation, targets: readonly string[], options: RmOptions): Promise<Outcome> {
  if (options.secure !== true && (options.reason !== undefined || options.by !== undefined))
    throw new MementoError("INVALID_ARGUMENT", "--reason and --by are kept as evidence of --secure", {
      hint: "Add --secure to remove for good, or leave them out.",
    });
  await using memento = await openMemento(invocation);
  const ids = new Set<string>();
  for (const target of targets) ids.add(await findMemento(memento, target, options.timeline));
  const entries: MementoEntry[] = [];
  for (const id of ids) entries.push(await (options.secure === true ? entryOf(memento, id) : removable(memento, id)));
  await demandNoneIsPinned(memento, entries);
  if (options.yes !== true) {
    await demandYes(invocation, entries, await timelineNames(memento));
    // Somebody may have thought about it for long.
    await demandNoneIsPinned(memento, entries);
  }
  if (options.secure === true) return await eraseSecurely(memento, [...ids], options);
  const removed: string[] = [];
  // One notice names one timeline.
  for (const group of Map.groupBy(entries, ({ timeline }) => timeline).values())
    removed.push(...(await removeGroup(memento, group)));
  return { json: { removed }, text: () => `Removed ${counted(removed.length, "memento")}.` };
}

/** The memento, if it may go. A head and an unfinished rollback's target are needed by the next command on their timeline. */
async function removable(memento: Memento, id: string): Promise<MementoEntry> {
  const { entry, removed } = await memento.vault.load(id);
  if (removed) throw new MementoError("NOT_FOUND", `Memento ${id} was removed before`);
  const { record, head } = await memento.vault.timeline(entry.timeline);
  if (head === null || record.kind !== "pipeline") return entry;
  const name = timelineName(record);
  if (head.id === id) {
    const hint =
      "The next run starts from it. Roll back to another memento first, if it is this one's state that you want to be rid of.";
    throw new MementoError("CONFLICT", `Memento ${id} is the head of ${name}`, {
      hint,
      details: { id, timeline: record.key },
    });
  }
  const restore = (await (await memento.vault.load(head.id)).value("restore")) as
    | { readonly target?: string }
    | undefined;
  if (restore?.target !== id) return entry;
  const hint = "Finish the rollback first: `memento resume`.";
  throw new MementoError("CONFLICT", `An unfinished rollback of ${name} goes back to memento ${id}`, {
    hint,
    details: { id, timeline: record.key },
  });
}

/** The entry of a memento, live or removed: what was only removed can still be opened by whoever has the key. */
async function entryOf(memento: Memento, id: string): Promise<MementoEntry> {
  const stored = await memento.vault.store.read(id);
  const entry = stored && decodePackHeader(stored.header, `memento ${id}`).entries[stored.slot];
  if (entry) return entry;
  throw new MementoError("NOT_FOUND", `There is no memento ${id}`, { details: { id } });
}

async function demandNoneIsPinned(memento: Memento, entries: readonly MementoEntry[]): Promise<void> {
  const caretakers = new Set(entries.map(({ caretaker }) => caretaker));
  const pins = (await Promise.all([...caretakers].map(async (name) => await memento.caretaker(name).pins()))).flat();
  const pin = pins.find((known) => entries.some(({ id }) => id === known.id));
  if (pin === undefined) return;
  throw new MementoError("CONFLICT", `Memento ${pin.id} is pinned${pin.reason === "" ? "" : `: ${pin.reason}`}`, {
    hint:
      pin.lease === null
        ? `Take the pin away first: \`memento unpin ${pin.id}\`.`
        : "A restore needs it; wait until that is finished.",
    details: { id: pin.id },
  });
}

async function eraseSecurely(
  memento: Memento,
  ids: readonly string[],
  { reason = "", by }: RmOptions,
): Promise<Outcome> {
  const report = await memento.secureDelete(ids, { reason, ...(by === undefined ? {} : { by }) });
  const { mementos, dataKeys, resealed } = report;
  return {
    json: { removed: mementos, ...report },
    text: () =>
      `Removed ${counted(mementos.length, "memento")} for good: ${counted(dataKeys.length, "data key")} destroyed, ${counted(resealed, "pack")} sealed anew for what others need.`,
  };
}

async function demandYes(
  { io, style }: Invocation,
  entries: readonly MementoEntry[],
  names: ReadonlyMap<string, string>,
): Promise<void> {
  if (io.ask === null)
    throw new MementoError("INVALID_ARGUMENT", "There is no terminal to ask on", {
      hint: "Say --yes to remove without asking.",
    });
  const list = entries.map(
    (entry) =>
      `  ${style.bold(entry.id)}  ${names.get(entry.timeline) ?? entry.originator} #${entry.sequence}, ${reasonText(entry)}, ${entry.created}`,
  );
  const answer = await io.ask(
    `${list.join("\n")}\nRemove ${entries.length === 1 ? "this memento" : `these ${counted(entries.length, "memento")}`}? [y/N] `,
  );
  if (!/^y(?:es)?$/iu.test(answer.trim()))
    throw new MementoError("CANCELLED", "Nothing was removed", { hint: "Answer y to remove." });
}

async function removeGroup(memento: Memento, group: readonly MementoEntry[]): Promise<readonly string[]> {
  const [first] = group;
  if (first === undefined) return [];
  const { caretaker, timeline } = first;
  const ids = group.map(({ id }) => id);
  const { store } = memento.vault;
  // Looked at before the pins: a pin that comes after them makes another version, and refuses the removal.
  const version = (await store.caretaker(caretaker))?.version ?? 0;
  await demandNoneIsPinned(memento, group);
  const notice = memento.vault.notice("removed", { caretaker, timeline, mementos: ids });
  return await store.remove(ids, notice, { name: caretaker, version });
}

import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery, type MementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";

/**
 * Finds the memento that a person means on a timeline: a full id, `head`, `head~2` (two before it), `17` (a sequence number),
 * `stage:load` (the newest taken at the end of that stage), `start` (the newest first memento of a run), a name, or the
 * beginning of an id. NOT_FOUND where there is none, with `details.removed` where there was one; INVALID_ARGUMENT where several fit.
 */
export async function resolveTarget(vault: Vault, state: TimelineState, text: string): Promise<string> {
  const timeline = state.record.key;
  const where = describeAddress(state.record);
  if (text === "") throw new MementoError("INVALID_ARGUMENT", `An empty text names no memento of ${where}`);
  if (parseMementoId(text)?.timeline === timeline) return text;
  const nth = async (wanted: Wanted): Promise<string> =>
    (await nthOf(vault, wanted)) ?? (await refuse(vault, state, wanted));
  const back = /^head(?:~(\d{1,9}))?$/.exec(text);
  if (back !== null) {
    const what = `${text} of ${where}`;
    return await nth({
      filter: { timeline },
      index: Number(back[1] ?? 0),
      what,
      none: `${where} has no memento ${text}`,
    });
  }
  const isNumber = /^\d{1,15}$/.test(text);
  if (isNumber) {
    const fits = (entry: MementoEntry): boolean => entry.sequence === Number(text);
    const found = await nthOf(vault, { filter: { timeline }, index: 0, fits });
    if (found !== null) return found;
  }
  if (text.startsWith("stage:")) {
    const stage = text.slice("stage:".length);
    const what = `The memento of the end of stage ${stage} of ${where}`;
    const none = `${where} has no memento of the end of stage ${stage}`;
    return await nth({ filter: { timeline, stage, reason: "stage" }, index: 0, what, none });
  }
  if (text === "start") {
    const what = `The start of the last run of ${where}`;
    return await nth({ filter: { timeline, reason: "start" }, index: 0, what, none: `${where} has no run` });
  }
  const named = await vault.store.findByName(state.record.caretaker, text);
  if (named !== null && parseMementoId(named)?.timeline === timeline) return named;
  // The ids of a timeline tell its mementos apart behind their first dash: a number begins all of them, or none.
  return isNumber ? await refuseByName(vault, state, text) : await byPrefix(vault, state, text);
}

async function byPrefix(vault: Vault, state: TimelineState, text: string): Promise<string> {
  const timeline = state.record.key;
  const where = describeAddress(state.record);
  const found: string[] = [];
  for await (const { entry } of vault.store.query(mementoQuery({ timeline })))
    if (entry.id.startsWith(text)) found.push(entry.id);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined) return await refuseByName(vault, state, text);
  const rest = found.length > LISTED_MAX ? ` and ${found.length - LISTED_MAX} more` : "";
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${found.length} mementos of ${where} begin with ${JSON.stringify(text)}: ${found.slice(0, LISTED_MAX).join(", ")}${rest}`,
  );
}

const LISTED_MAX = 5;

/** Says of a number, a name or the beginning of an id that no memento has it, or none any more. */
async function refuseByName(vault: Vault, state: TimelineState, text: string): Promise<never> {
  const [timeline, where] = [state.record.key, describeAddress(state.record)];
  const isNumber = /^\d+$/.test(text);
  const fits = ({ id, sequence, name }: MementoEntry): boolean =>
    (isNumber ? String(sequence) === text : id.startsWith(text)) || name === text;
  const [what, none] = [`Memento ${text} of ${where}`, `${where} has no memento ${JSON.stringify(text)}`];
  return await refuse(vault, state, { filter: { timeline }, index: 0, fits, what, none });
}

interface Place {
  readonly filter: Partial<MementoQuery>;
  /** How many that fit are newer. */
  readonly index: number;
  /** By default all of the filter fit. */
  readonly fits?: (entry: MementoEntry) => boolean;
}

interface Wanted extends Place {
  /** What it is called where it was removed. */
  readonly what: string;
  /** What is said where it never was. */
  readonly none: string;
}

async function nthOf(vault: Vault, { filter, index, fits }: Place): Promise<string | null> {
  let position = 0;
  const limit = fits === undefined ? index + 1 : null;
  for await (const { entry } of vault.store.query(mementoQuery({ ...filter, limit }))) {
    if (fits !== undefined && !fits(entry)) continue;
    if (position === index) return entry.id;
    position += 1;
  }
  return null;
}

/** Tells what was removed from what never was. */
async function refuse(vault: Vault, { record }: TimelineState, { what, none, ...place }: Wanted): Promise<never> {
  const removed = await nthOf(vault, { ...place, filter: { ...place.filter, removed: true } });
  if (removed === null) throw new MementoError("NOT_FOUND", none);
  const hint = "List what is left with `memento ls`.";
  for await (const { entry } of vault.store.query(mementoQuery({ timeline: record.key, order: "ascending", limit: 1 })))
    throw new MementoError(
      "NOT_FOUND",
      `${what} was removed; the earliest one left is #${entry.sequence}, ${entry.id}`,
      { hint, details: { removed, earliest: entry.id } },
    );
  throw new MementoError("NOT_FOUND", `${what} was removed, and no other is left`, { hint, details: { removed } });
}

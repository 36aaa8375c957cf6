import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery, type MementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";

/**
 * Finds the memento that a person means on a timeline: a full id, `head`, `head~2` (two before it), `17` (a sequence number),
 * `stage:load` (the newest taken at the end of that stage), `start` (the newest first memento of a run), a name, `name:17` (a name
 * that may look like one of these), or the beginning of an id. NOT_FOUND where there is none, with `details.removed` where there
 * was one; INVALID_ARGUMENT where several fit, as one that is named like a word which means another one.
 */
export async function resolveTarget(vault: Vault, state: TimelineState, text: string): Promise<string> {
  const timeline = state.record.key;
  const where = describeAddress(state.record);
  if (text === "") throw new MementoError("INVALID_ARGUMENT", `An empty text names no memento of ${where}`);
  if (parseMementoId(text)?.timeline === timeline) return text;
  const named = await withName(vault, state, text);
  const word = wordOf(state, text);
  if (word === null) {
    // The ids of a timeline tell its mementos apart behind their first dash: a number begins all of them, or none.
    return named ?? (await byPrefix(vault, state, text));
  }
  if (word.name !== undefined)
    return (await withName(vault, state, word.name)) ?? named ?? (await refuse(vault, state, word));
  const meant = await nthOf(vault, word);
  if (named !== null && meant !== null && named !== meant)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${JSON.stringify(text)} is the name of memento ${named} of ${where}, and means ${meant} besides`,
      { hint: `Write name:${text}, or the id of the one that is meant.`, details: { named, meant } },
    );
  return named ?? meant ?? (await refuse(vault, state, word));
}

async function withName(vault: Vault, { record }: TimelineState, name: string): Promise<string | null> {
  const found = name === "" ? null : await vault.store.findByName(record.caretaker, name);
  return found !== null && parseMementoId(found)?.timeline === record.key ? found : null;
}

/** What a text means that is one of the words for mementos; null for any other text. */
function wordOf({ record }: TimelineState, text: string): Wanted | null {
  const [timeline, where] = [record.key, describeAddress(record)];
  if (text.startsWith("name:")) {
    const wanted = text.slice("name:".length);
    const fits = ({ name }: MementoEntry): boolean => name === wanted;
    const [what, none] = [`Memento ${wanted} of ${where}`, `${where} has no memento named ${JSON.stringify(wanted)}`];
    return { filter: { timeline }, index: 0, fits, name: wanted, what, none };
  }
  const back = /^head(?:~(\d{1,9}))?$/.exec(text);
  if (back !== null) {
    const [what, none] = [`${text} of ${where}`, `${where} has no memento ${text}`];
    return { filter: { timeline }, index: Number(back[1] ?? 0), what, none };
  }
  if (/^\d{1,15}$/.test(text)) {
    const fits = ({ sequence }: MementoEntry): boolean => sequence === Number(text);
    const [what, none] = [`Memento ${text} of ${where}`, `${where} has no memento ${JSON.stringify(text)}`];
    return { filter: { timeline }, index: 0, fits, what, none };
  }
  if (text.startsWith("stage:")) {
    const stage = text.slice("stage:".length);
    const what = `The memento of the end of stage ${stage} of ${where}`;
    const none = `${where} has no memento of the end of stage ${stage}`;
    return { filter: { timeline, stage, reason: "stage" }, index: 0, what, none };
  }
  if (text !== "start") return null;
  const what = `The start of the last run of ${where}`;
  return { filter: { timeline, reason: "start" }, index: 0, what, none: `${where} has no run` };
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

/** Says of a name or the beginning of an id that no memento has it, or none any more. */
async function refuseByName(vault: Vault, state: TimelineState, text: string): Promise<never> {
  const [timeline, where] = [state.record.key, describeAddress(state.record)];
  const fits = ({ id, name }: MementoEntry): boolean => id.startsWith(text) || name === text;
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
  /** The name of the only one that fits, where it is wanted by that. */
  readonly name?: string;
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

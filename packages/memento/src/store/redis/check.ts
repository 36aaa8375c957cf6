import { isMementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { StoreDamage } from "../store.ts";
import { countLeftovers } from "./bodies.ts";
import type { StoreCalls } from "./calls.ts";
import { catchUp, checkLog, damage, type Census } from "./check-log.ts";
import { addressText } from "./keys.ts";
import { readLast } from "./log.ts";
import { COUNTS, HOLDERS, LINE } from "./lua/checks.ts";
import { HASH_PAGE } from "./lua/reads.ts";
import { fieldsOf, placeOf, timelineOf } from "./rows.ts";
import { pageTimelines } from "./timelines.ts";

const NAMES_AT_ONCE = 200;

/**
 * Everything that is structurally wrong with a store, as far as it shows without a key. Others may write meanwhile: what
 * belongs together is compared as it was at one moment, and what came later is left to the next check.
 */
export async function* findDamage(calls: StoreCalls): AsyncIterable<StoreDamage> {
  const top = await readLast(calls);
  const census: Census = { seen: 0, lines: new Map(), names: new Map(), marked: new Map() };
  try {
    yield* checkLog(calls, top, census);
    yield* checkTimelines(calls, top, census);
    yield* checkNames(calls, census);
    const { bodies, bytes } = await countLeftovers(calls);
    if (bodies > 0)
      yield damage(`${bodies} bodies of ${bytes} bytes were begun and never finished; reclaiming takes them away`);
  } catch (error) {
    // A row that cannot be read ends the search, and is itself what was found.
    if (!isMementoError(error, "DAMAGED")) throw error;
    yield damage(error.message);
  }
}

/** Each timeline's mementos are numbered from 1 to its head, which is the last of them, and its address leads to it. */
async function* checkTimelines(calls: StoreCalls, top: number, census: Census): AsyncIterable<StoreDamage> {
  for await (const { key, state } of pageTimelines(calls)) {
    const line = census.lines.get(key) ?? { count: 0, top: 0 };
    census.lines.delete(key);
    if (state === null) yield damage(`Timeline ${key} is missing`, [], key);
    else yield* checkTimeline(calls, key, addressText(state.record), line, top);
  }
  for (const key of census.lines.keys()) yield damage(`Mementos belong to timeline ${key}, which is missing`, [], key);
  const [addresses, timelines, goesOn] = (await calls.read(COUNTS, [calls.keys.addresses, calls.keys.order], [])).rest;
  if (addresses !== timelines)
    yield damage(`There are ${String(timelines)} timelines and ${String(addresses)} addresses`);
  if (goesOn === 1) yield damage("The log goes on behind the commit that the store's facts name as its last");
}

async function* checkTimeline(
  calls: StoreCalls,
  key: string,
  address: string,
  line: { readonly count: number; readonly top: number },
  top: number,
): AsyncIterable<StoreDamage> {
  const { keys } = calls;
  const { rest } = await calls.read(LINE, [keys.timeline(key), keys.addresses], [key, address]);
  const [fields, count, place, owner] = rest as [unknown[], number, Buffer | null, Buffer | null];
  const { head } = timelineOf(fieldsOf(fields));
  if (line.count !== line.top || count !== (head?.sequence ?? 0)) {
    const numbers = `${line.count} in the log up to ${line.top}, and ${count} places`;
    yield damage(`Timeline ${key} has ${head?.sequence ?? 0} mementos by its head, ${numbers}`, [], key);
  }
  const last = place === null ? null : placeOf(place);
  const isLast = head === null ? line.top === 0 : last !== null && head.id === `${key}-${head.sequence}-${last.nonce}`;
  // What the log did not have yet when it was read has come since.
  const isLate = last !== null && last.commit > top;
  if (!isLast || (head !== null && head.sequence !== line.top && !isLate))
    yield damage(`The head of timeline ${key} is not its last memento`, head === null ? [] : [head.id], key);
  if (owner?.toString() !== key) yield damage(`The address of timeline ${key} leads elsewhere`, [], key);
}

/** Each name is had by the last memento of the log that was given it, as long as that lives, and by nobody else. */
async function* checkNames(calls: StoreCalls, census: Census): AsyncIterable<StoreDamage> {
  const owned = [...census.names.keys()];
  for (let start = 0; start < owned.length; start += NAMES_AT_ONCE)
    yield* checkHolders(calls, owned.slice(start, start + NAMES_AT_ONCE), census);
  for (let cursor = "0"; ;) {
    const [page] = (await calls.read(HASH_PAGE, [calls.keys.names], [cursor])).rest as [[Buffer, Buffer[]]];
    const names = page[1].filter((_, at) => at % 2 === 0).map(String);
    const strangers = names.filter((name) => !census.names.has(name));
    if (strangers.length > 0) yield* checkHolders(calls, strangers, census);
    cursor = String(page[0]);
    if (cursor === "0") return;
  }
}

async function* checkHolders(calls: StoreCalls, names: readonly string[], census: Census): AsyncIterable<StoreDamage> {
  await catchUp(calls, census);
  const args = names.flatMap((key) => {
    const owner = census.names.get(key);
    const { timeline = "", sequence = 0 } = parseMementoId(owner?.id ?? "") ?? {};
    return [key, JSON.stringify(owner?.name ?? nameIn(key)), timeline, String(sequence)];
  });
  const { rest } = await calls.read(HOLDERS, [calls.keys.names], [String(census.seen), ...args]);
  for (const [index, key] of names.entries()) {
    const [holder, place, isBusy] = rest.slice(3 * index, 3 * index + 3) as [Buffer | null, Buffer | null, number];
    if (isBusy === 1) continue;
    const owner = census.names.get(key)?.id ?? null;
    const lives = owner !== null && place !== null && placeOf(place).removedBy === 0;
    const wanted = lives ? owner : null;
    if ((holder?.toString() ?? null) === wanted) continue;
    if (holder === null)
      yield damage(`The name ${key} of memento ${wanted} is missing`, wanted === null ? [] : [wanted]);
    else yield damage(`The name ${key} points to ${holder.toString()}, which does not have it`, [holder.toString()]);
  }
}

function nameIn(key: string): string {
  const parts: unknown = parsed(key);
  return Array.isArray(parts) ? String(parts[1]) : key;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

import { isMementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import { keyRetired } from "../admit.ts";
import { decodePackHeader, type PackHeader } from "../header.ts";
import { mayReplace } from "../replacement.ts";
import type { PackReplacement, SalvagedPack } from "../store.ts";
import { bodyOf, clearedAway, discardBody, dropLeftovers, packArguments, placeBody } from "./bodies.ts";
import type { StoreCalls } from "./calls.ts";
import { acceptedEntries, headerOf, readPage, readPlaces } from "./log.ts";
import { RECLAIM, REPLACE } from "./lua/commits.ts";
import { LOCATE } from "./lua/reads.ts";
import { commitOf, lineOf, packRow, type CommitRow, type Place } from "./rows.ts";

const RECLAIMED_AT_ONCE = 200;

/** What a pack's commit is, as far as it can be read. */
interface Located {
  readonly commit: number;
  /** null: the log has lost it. */
  readonly row: Buffer | null;
}

/** The commits of these mementos, each once. */
async function locate(calls: StoreCalls, ids: readonly string[]): Promise<readonly Located[]> {
  const keys: string[] = [];
  const args: string[] = [];
  for (const id of ids) {
    const { timeline, sequence } = parseMementoId(id) ?? {};
    if (timeline === undefined || sequence === undefined) continue;
    keys.push(calls.keys.places(timeline, sequence));
    args.push(String(sequence), id.slice(id.lastIndexOf("-") + 1));
  }
  if (keys.length === 0) return [];
  const { rest } = await calls.read(LOCATE, keys, args);
  return Array.from({ length: rest.length / 2 }, (_, at) => ({
    commit: Number(rest[2 * at]),
    row: rest[2 * at + 1] as Buffer | null,
  }));
}

/** Drops the bodies of those packs of `ids` in which nothing lives any more; takes what dead processes have left with it. */
export async function reclaimPacks(
  calls: StoreCalls,
  ids: readonly string[],
): Promise<{ packs: number; bytes: number }> {
  let packs = 0;
  let bytes = 0;
  for (let start = 0; start < ids.length; start += RECLAIMED_AT_ONCE) {
    const found = await locate(calls, ids.slice(start, start + RECLAIMED_AT_ONCE));
    const candidates = found.map(({ commit, row }) => headerOf(commit, row)).filter(([row]) => hasBody(row));
    const keys: string[] = [];
    const args: string[] = [];
    for (const [row, header] of candidates) {
      const entries = acceptedEntries(row, header).map(({ entry }) => entry);
      const bodies = bodyKeys(calls, row);
      keys.push(calls.keys.log(row.commit));
      for (const { timeline, sequence } of entries) keys.push(calls.keys.places(timeline, sequence));
      keys.push(...bodies);
      args.push(String(row.commit), row.line, lineWithoutBody(row), String(bodies.length), String(entries.length));
      args.push(...entries.map(({ sequence }) => String(sequence)));
    }
    if (args.length === 0) continue;
    const [freed] = (await calls.write(RECLAIM, keys, args)).rest as [number[]];
    packs += freed.length;
    for (const index of freed) bytes += candidates[index]?.[0].pack?.bodyBytes ?? 0;
  }
  await dropLeftovers(calls);
  return { packs, bytes };
}

const hasBody = ({ pack }: CommitRow): boolean => pack !== null && pack.bodyBytes !== null;

function bodyKeys(calls: StoreCalls, { pack }: CommitRow): readonly string[] {
  return pack === null || pack.bodyBytes === null ? [] : calls.keys.bodies(pack.token, pack.parts);
}

function lineWithoutBody({ header, pack, line }: CommitRow): string {
  return pack === null ? line : lineOf(packRow(header, { ...pack, bodyBytes: null, parts: 0 }));
}

/** Replaces a pack; false when it is another one than was expected. Where somebody else was faster, it is looked again. */
export async function replacePack(
  calls: StoreCalls,
  replacement: PackReplacement,
  header: PackHeader,
  random: Random,
): Promise<boolean> {
  const body = await placeBody(calls, replacement.body, random);
  for (;;) {
    const [found] = await locate(calls, replacement.ids);
    const before = found === undefined ? null : await readBefore(calls, found, header);
    let may = false;
    try {
      may = found !== undefined && before !== null && mayReplace(replacement, header, before);
    } finally {
      if (!may) await discardBody(calls, body);
    }
    if (!may || found === undefined || before === null) return false;
    const row = packRow(replacement.header, {
      token: body.token,
      bodyBytes: body.bodyBytes,
      parts: body.parts,
      slots: header.entries.length,
      accepted: before.slots.length === header.entries.length ? null : before.slots.map(({ slot }) => slot),
    });
    // Where nothing but the header stays, nothing is sealed.
    const pack = packArguments(calls, body, replacement.body === null ? null : header.dataKey, replacement.dataKey);
    const expected = found.row === null ? "" : Buffer.from(lineOf(found.row), "latin1");
    const keys = [calls.keys.log(found.commit), ...pack.keys, ...before.bodies];
    const { outcome } = await calls.write(REPLACE, keys, [String(found.commit), expected, row, ...pack.args]);
    if (outcome === "ok") return true;
    if (outcome === "lost") throw clearedAway();
    if (outcome !== "retired") continue;
    await discardBody(calls, body);
    throw keyRetired(header.dataKey ?? "");
  }
}

interface Before {
  /** The keys of its body. */
  readonly bodies: readonly string[];
  readonly header: Uint8Array | null;
  readonly hasBody: boolean;
  readonly slots: SalvagedPack["mementos"];
}

/** A pack as it lies there. Where its own row does not tell which mementos are in it, those of the new header are asked for. */
async function readBefore(calls: StoreCalls, { commit, row }: Located, header: PackHeader): Promise<Before> {
  const read = row === null ? null : readable(commit, row);
  const slots = await slotsOf(calls, commit, header);
  return {
    header: row === null ? null : row.subarray(lineOf(row).length + 1),
    hasBody: read !== null && hasBody(read),
    bodies: read === null ? [] : bodyKeys(calls, read),
    slots: [...slots, ...strangers(read, slots)],
  };
}

/** Slots of which the row says that a memento is in them, and the new header does not know which. */
function strangers(read: CommitRow | null, known: SalvagedPack["mementos"]): SalvagedPack["mementos"] {
  const taken = read?.pack?.accepted ?? Array.from({ length: read?.pack?.slots ?? 0 }, (_, slot) => slot);
  const missing = taken.filter((slot) => known.every((memento) => memento.slot !== slot));
  return missing.map((slot) => ({ id: `of slot ${slot}`, slot, removed: false }));
}

function readable(commit: number, row: Buffer): CommitRow | null {
  try {
    return commitOf(commit, row);
  } catch (error) {
    if (isMementoError(error, "DAMAGED")) return null;
    throw error;
  }
}

/** Those of a header's mementos that lie in this commit. */
async function slotsOf(calls: StoreCalls, commit: number, { entries }: PackHeader): Promise<SalvagedPack["mementos"]> {
  const places = await readPlaces(calls, entries);
  return entries
    .flatMap(({ timeline, sequence }, index) => {
      const place = places[index];
      return place?.commit === commit ? [mementoAt(timeline, sequence, place)] : [];
    })
    .toSorted((a, b) => a.slot - b.slot);
}

function mementoAt(
  timeline: string,
  sequence: number,
  { nonce, slot, removedBy }: Place,
): SalvagedPack["mementos"][number] {
  return { id: `${timeline}-${sequence}-${nonce}`, slot, removed: removedBy !== 0 };
}

/** What is left of a memento's commit, header first; null when no place says where that is. */
export async function salvage(calls: StoreCalls, id: string): Promise<SalvagedPack | null> {
  const [found] = await locate(calls, [id]);
  const parts = parseMementoId(id);
  if (found === undefined || parts === undefined) return null;
  const { commit } = found;
  const [page] = found.row === null ? [] : (await readPage(calls, commit, 1, 1, true)).commits;
  const row = page?.commit === commit ? page.row : found.row;
  if (row === null) return { bytes: new Uint8Array(), header: null, body: null, mementos: await alone(calls, id) };
  const header = row.subarray(lineOf(row).length + 1);
  const read = readable(commit, row);
  const body = read === null ? null : await salvagedBody(calls, read, page?.body);
  const known = packHeader(header);
  return {
    bytes: Buffer.concat([header, body ?? new Uint8Array()]),
    header,
    body,
    mementos: known === null ? await alone(calls, id) : await slotsOf(calls, commit, known),
  };
}

async function salvagedBody(calls: StoreCalls, row: CommitRow, inline: unknown): Promise<Uint8Array | null> {
  try {
    return (await bodyOf(calls, row, inline)) ?? null;
  } catch (error) {
    if (!isMementoError(error, "DAMAGED")) throw error;
    // Of another length than it should be, and still what is left.
    return inline instanceof Buffer ? inline : null;
  }
}

function packHeader(header: Uint8Array): PackHeader | null {
  try {
    return decodePackHeader(header, "the pack");
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}

/** The memento itself, where nothing tells which others are in its pack. */
async function alone(calls: StoreCalls, id: string): Promise<SalvagedPack["mementos"]> {
  const parts = parseMementoId(id);
  if (parts === undefined) return [];
  const [place] = await readPlaces(calls, [parts]);
  return place === null || place === undefined ? [] : [mementoAt(parts.timeline, parts.sequence, place)];
}

import { isMementoError } from "../../core/errors.ts";
import { entryText } from "../entry-text.ts";
import type { IndexAuthority, StoreDamage } from "../store.ts";
import { holderOf } from "./changes.ts";
import {
  headOf,
  mementoFields,
  nameKey,
  timelineKey,
  type Fields,
  type MementoDocument,
  type StoreDocument,
} from "./documents.ts";
import type { Claim, Evidence } from "./evidence.ts";
import type { StoreAccess } from "./tail.ts";

/** Something in the index that differs from the log. */
export interface Difference extends StoreDamage {
  /** The fields that put it right, and the document that they belong to; null when the log cannot say. */
  readonly mend: { readonly id: string; readonly fields: Fields } | null;
}

const ROWS_AT_ONCE = 1_000;

/**
 * Compares the index with the log. What was written behind the log's end is not judged, so that others may write
 * meanwhile. `authority` makes the checks of heads; without it they are left out, and so is what would be written.
 */
export async function* compareIndex(
  access: StoreAccess,
  evidence: Evidence,
  authority: Pick<IndexAuthority, "headCheck"> | null,
): AsyncIterable<Difference> {
  yield* compareRows(access, evidence);
  yield* compareHeads(access, evidence, authority);
  yield* compareNames(access, evidence);
}

/** Every memento of the log has its document, and no others have one. */
async function* compareRows(
  access: StoreAccess,
  { claims, unreadable, missing, end }: Evidence,
): AsyncIterable<Difference> {
  const open = new Map(claims);
  const lost = new Set(missing);
  const limit = claimLimit(end);
  for await (const row of allRows(access)) {
    const claim = open.get(row._id);
    open.delete(row._id);
    if (claim !== undefined) {
      const problem = rowProblem(row, claim, end);
      if (problem !== null) yield difference(problem, claim, rowMend(row._id, claim));
      continue;
    }
    const commit = Math.floor(row.order / limit.slots);
    // Of what cannot be read nothing better is known.
    if (row.order >= limit.order || unreadable.has(commit) || lost.has(commit)) continue;
    const about = { entry: { id: row.memento, timeline: row.timeline } };
    yield difference(`The document of memento ${row.memento} fits no commit of the log`, about, null);
  }
  for (const [id, claim] of open) {
    yield difference(`The document of memento ${claim.entry.id} is missing`, claim, rowMend(id, claim));
  }
}

function rowProblem(row: MementoDocument, claim: Claim, end: number): string | null {
  const { entry, order, removedBy } = claim;
  const what = `The document of memento ${entry.id}`;
  if (row.order !== order) return `${what} points elsewhere than the log`;
  const wanted = mementoFields(entry, claim.commit, claim.slot);
  const { at: _, removedBy: __, entry: ___, ...searched } = wanted;
  const fields = [...Object.keys(searched), "run", "stage", "name"];
  const differs = fields.some((field) => JSON.stringify(row[field]) !== JSON.stringify(wanted[field]));
  if (row.entry !== entryText(entry) || differs) return `${what} says other things than the log`;
  const marked = row.removedBy > end ? 0 : row.removedBy;
  if (marked === removedBy) return null;
  if (removedBy === 0) return `${what} is marked as removed by commit ${marked}, which does not say so`;
  return `Memento ${entry.id} was removed by commit ${removedBy} and is not marked so`;
}

const rowMend = (id: string, claim: Claim): Difference["mend"] => ({
  id,
  fields: { ...mementoFields(claim.entry, claim.commit, claim.slot), removedBy: claim.removedBy },
});

/** Each timeline's mementos are numbered from 1 to its head, which is the last of them. */
async function* compareHeads(
  { documents, maxTimeMS }: StoreAccess,
  { claims, end }: Evidence,
  authority: Pick<IndexAuthority, "headCheck"> | null,
): AsyncIterable<Difference> {
  const lines = new Map<string, { count: number; last: Claim }>();
  for (const claim of claims.values()) {
    const line = lines.get(claim.entry.timeline);
    if (line === undefined) lines.set(claim.entry.timeline, { count: 1, last: claim });
    else {
      line.count += 1;
      if (claim.entry.sequence > line.last.entry.sequence) line.last = claim;
    }
  }
  for await (const document of documents.find({ made: { $gt: 0 } }, { maxTimeMS })) {
    const key = String(document._id).slice(2);
    const line = lines.get(key);
    lines.delete(key);
    if (Number(document["made"]) > end || Number(document.at) > end) continue;
    const { id = null, sequence = 0 } = line?.last.entry ?? {};
    if (line !== undefined && line.count !== sequence)
      yield {
        ...difference(`Timeline ${key} has ${line.count} mementos up to ${sequence}`, line.last, null),
        mementos: [],
      };
    if (headText(document) === JSON.stringify([id, sequence])) continue;
    // Where the log has no memento of it at all, it has lost more than the head.
    const check = line === undefined || id === null ? null : (authority?.headCheck(key, id, sequence) ?? "");
    const mend =
      check === null ? null : { id: timelineKey(key), fields: { head: id, headSequence: sequence, headCheck: check } };
    yield {
      problem: `The head of timeline ${key} is not its last memento`,
      mementos: id === null ? [] : [id],
      timeline: key,
      mend,
    };
  }
  for (const [key, { last }] of lines) {
    yield difference(`Mementos belong to timeline ${key}, which is missing`, last, null);
  }
}

function headText(document: StoreDocument): string {
  try {
    const head = headOf(document);
    return JSON.stringify([head?.id ?? null, head?.sequence ?? 0]);
  } catch (error) {
    if (!isMementoError(error, "DAMAGED")) throw error;
    return "";
  }
}

/** Names belong to the last memento of the log that was given them, as long as it lives. */
async function* compareNames(
  { documents, maxTimeMS }: StoreAccess,
  { names, unreadable, end }: Evidence,
): AsyncIterable<Difference> {
  const open = new Map([...names].filter(([, { removedBy }]) => removedBy === 0));
  for await (const document of documents.find({ holder: { $exists: true } }, { maxTimeMS })) {
    const key = String(document._id).slice(2);
    const owner = open.get(key);
    open.delete(key);
    const holder = holderOf(document);
    if (Number(document.at) > end || (owner?.entry.id ?? null) === holder) continue;
    // A header that cannot be read may have given it the name.
    if (owner === undefined && unreadable.size > 0) continue;
    const mend = { id: String(document._id), fields: { holder: owner?.entry.id ?? null } };
    if (holder === null && owner !== undefined) yield difference(nameProblem(owner), owner, mend);
    else {
      const problem = `The name ${key} points to ${holder}, which does not have it`;
      yield { problem, mementos: [holder ?? ""], timeline: null, mend };
    }
  }
  for (const owner of open.values()) {
    const { caretaker, name = "", id } = owner.entry;
    yield difference(nameProblem(owner), owner, { id: nameKey(caretaker, name), fields: { at: end, holder: id } });
  }
}

const nameProblem = ({ entry }: Claim): string =>
  `The name ${JSON.stringify(entry.name)} of memento ${entry.id} is missing`;

function difference(
  problem: string,
  { entry }: { readonly entry: { readonly id: string; readonly timeline: string } },
  mend: Difference["mend"],
): Difference {
  return { problem, mementos: [entry.id], timeline: entry.timeline, mend };
}

/** Every memento's document, in the order of their places in the log. */
async function* allRows({ documents, maxTimeMS }: StoreAccess): AsyncIterable<MementoDocument> {
  const options = { sort: { order: 1 as const }, batchSize: ROWS_AT_ONCE, maxTimeMS };
  for await (const row of documents.find({ order: { $gte: 0 } }, options)) yield row as unknown as MementoDocument;
}

const claimLimit = (end: number): { readonly order: number; readonly slots: number } => ({
  order: (end + 1) * 2 ** 20,
  slots: 2 ** 20,
});

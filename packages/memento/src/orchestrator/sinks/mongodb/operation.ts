import type { AnyBulkWriteOperation, Collection, Document } from "mongodb";

import { isDriverError } from "../../../store/mongodb/failure.ts";
import type { BookAccess, EntryDocument, ImageItem, PlaceDocument, StreamDocument, TokenDocument } from "./books.ts";
import { type HeldDocument, refused } from "./documents.ts";
import { idFilters } from "./id-filters.ts";
import type { KeyValues } from "./identity.ts";

/** What is done to one document. */
export interface Change {
  readonly key: KeyValues;
  readonly before: HeldDocument | null;
  readonly after: HeldDocument | null;
  /** The row of the batch that asks for it; null where none does. */
  readonly row: number | null;
}

/** All that one call changes, books and data. */
export interface Operation<T> {
  readonly op: string;
  readonly stream: StreamDocument;
  /** Null for a call that moves no position. */
  readonly entry: EntryDocument | null;
  readonly tokens: readonly TokenDocument[];
  /** The changes, in parts of bounded size. */
  readonly parts: () => AsyncIterable<readonly Change[]>;
  readonly answer: T;
}

/** What a call finds: it answers at once, or changes something. */
export type Decision<T> = { readonly answer: T; readonly op?: never } | Operation<T>;

/** Decides what a call does, from what it reads; may be asked again, when others were there in between. */
export type Plan<T> = (view: PlanView) => Promise<Decision<T>>;

/** What a plan sees. */
export interface PlanView {
  readonly access: BookAccess;
  readonly place: PlaceDocument;
  /** The number of the commit that the plan will be. */
  readonly commit: number;
}

/** A way of making a plan true, all of it or nothing. */
export interface CommitWay {
  /** `epoch` is whose right the plan is made by: FENCED where a higher one was here. LOCKED where others are in the way. */
  commit<T>(plan: Plan<T>, epoch: number): Promise<T>;
  close(): Promise<void>;
}

const PART_CHANGES_MAX = 1_000;
const PART_BYTES_MAX = 6 * 1_048_576;

/** Cuts changes into parts that fit into a document each. */
export async function* inParts(changes: Iterable<Change> | AsyncIterable<Change>): AsyncGenerator<readonly Change[]> {
  let part: Change[] = [];
  let bytes = 0;
  for await (const change of changes) {
    const more = Math.max(change.before?.bytes.byteLength ?? 0, change.after?.bytes.byteLength ?? 0);
    if (part.length === PART_CHANGES_MAX || (part.length > 0 && bytes + more > PART_BYTES_MAX)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(change);
    bytes += more;
  }
  if (part.length > 0) yield part;
}

/** What the books keep of a change. */
export function imageOf({ key, before, after }: Change): ImageItem {
  return { key, id: after?.id ?? before?.id, before: before?.bytes ?? null, after: after?.check ?? null };
}

/** A change as it is applied: what is there by then is told by its `_id` alone. */
export interface Step {
  readonly out: unknown;
  readonly in: Document | null;
  readonly row: number | null;
}

const NOTHING = Symbol("no document");

/** The steps of changes; `NOTHING` stands for no document. */
export function stepsOf(changes: readonly Change[]): Step[] {
  return changes.map(({ before, after, row }) => ({
    out: before === null ? NOTHING : before.id,
    in: after?.content ?? null,
    row,
  }));
}

/** A step from what the books keep of it. */
export function stepOf(out: { readonly id: unknown } | null, into: Document | null): Step {
  return { out: out === null ? NOTHING : out.id, in: into, row: null };
}

/**
 * The same steps in two passes: whatever one has in its way is out before it comes in, so that values of a unique index may change
 * places.
 */
export const outThenIn: readonly ((steps: readonly Step[]) => Step[])[] = [
  (steps) => steps.map((step) => ({ ...step, in: null })),
  (steps) => steps.map((step) => ({ ...step, out: NOTHING })),
];

/** How a part is applied. */
export interface ApplyOptions extends BookAccess {
  /** True: the part may have been applied before, wholly or partly. */
  readonly again: boolean;
  readonly sameId: (a: unknown, b: unknown) => boolean;
}

/** Takes out, replaces and puts in, in that order. RECORD_INVALID, naming the row, where the engine refuses a document. */
export async function applySteps(
  collection: Collection,
  steps: readonly Step[],
  { again, sameId, ...access }: ApplyOptions,
): Promise<void> {
  const outs = steps.filter(({ out, in: into }) => out !== NOTHING && (into === null || !sameId(out, into["_id"])));
  const replaced = steps.filter(({ out, in: into }) => out !== NOTHING && into !== null && sameId(out, into["_id"]));
  const ins = steps.filter(({ out, in: into }) => into !== null && (out === NOTHING || !sameId(out, into["_id"])));
  const operations: AnyBulkWriteOperation[] = [];
  const rows: (number | null)[] = [];
  const add = (operation: AnyBulkWriteOperation, row: number | null): void => {
    operations.push(operation);
    rows.push(row);
  };
  for (const filter of idFilters(outs.map(({ out }) => out))) add({ deleteMany: { filter } }, null);
  for (const { out, in: into, row } of replaced)
    add({ replaceOne: { filter: { _id: out }, replacement: into ?? {}, upsert: again } } as never, row);
  for (const { in: into, row } of ins) {
    const document: Document = into ?? {};
    if (again)
      add({ replaceOne: { filter: { _id: document["_id"] as never }, replacement: document, upsert: true } }, row);
    else add({ insertOne: { document } }, row);
  }
  if (operations.length === 0) return;
  try {
    await collection.bulkWrite(operations, { ...access, ordered: true });
  } catch (error) {
    const index = refusedIndex(error);
    if (index === null) throw error;
    const row = rows[index] ?? null;
    const item = row === null ? `A document of ${collection.collectionName}` : `rows[${row}]`;
    throw refused(item, `was refused: ${reasonOf(error)}`, error);
  }
}

/** 11000: a unique index; 121: the collection's validator; 10334 and 17280: too large a document, or too long a key. */
const REFUSALS = new Set([11_000, 121, 10_334, 17_280, 2, 9, 14]);

function refusedIndex(error: unknown): number | null {
  if (!isDriverError(error)) return null;
  const first = "writeErrors" in error ? ([error.writeErrors].flat()[0] as { code?: number; index?: number }) : null;
  const code = first?.code ?? error.code;
  if (typeof code !== "number" || !REFUSALS.has(code)) return null;
  return first?.index ?? 0;
}

/** The index or the validator that refused, and never the values. */
function reasonOf(error: unknown): string {
  if (!isDriverError(error)) return String(error);
  if (error.code === 121 || /failed validation/iu.test(error.message)) return "it fails the collection's validator";
  const index = /index: (?<name>\S+)/u.exec(error.message)?.groups?.["name"];
  return index === undefined
    ? `the server's code ${String(error.code)}`
    : `the unique index ${index} has its key already`;
}

import type { Binary } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { canonicalJson, type Json } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import { entryText, expandEntry } from "../entry-text.ts";
import { isPart } from "../query.ts";

/** Bytes as they lie in a document: in it, or in chunk documents of this name and of so many bytes in all. */
export type Stowed = { readonly bytes: Binary | Uint8Array } | { readonly chunks: string; readonly size: number };

/** Any document of a store's collection. `at` is the number of the log document that changed it last. */
export interface StoreDocument {
  readonly _id: string | number;
  readonly at?: number;
  readonly [field: string]: unknown;
}

/** The values of a document's fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a log document does to the store's other documents. */
export type Effect =
  /** A document that nobody can have made before. */
  | { readonly act: "insert"; readonly id: string; readonly fields: Fields }
  /** A document, where there is none yet. */
  | { readonly act: "create"; readonly id: string; readonly fields: Fields }
  /** Fields of a document, unless a later log document has changed it already. */
  | { readonly act: "change"; readonly id: string | number; readonly fields: Fields };

/** One commit. Its `_id` is its number in the log: each is there once, and none is left out. */
export interface LogDocument extends StoreDocument {
  readonly _id: number;
  readonly at: number;
  /** `hidden`: a change that is no event, as of a lease. */
  readonly kind: "pack" | "notice" | "hidden";
  /** Tells one's own commit from another's. */
  readonly by: string;
  /** All up to this number was applied when it was written. */
  readonly base: number;
  /** True: written together with its effects, in one transaction. */
  readonly atomic: boolean;
  /** False: its effects may not be there yet, and stand in `effects`. */
  readonly applied: boolean;
  readonly effects: readonly Effect[] | null;
  readonly header: Stowed | null;
  readonly headerBytes: number;
  /** SHA-256 of the header, base64url. */
  readonly digest: string | null;
  /** null for what has none, and once reclaimed. */
  readonly body: Stowed | null;
  readonly bodyBytes: number | null;
  readonly accepted: readonly number[];
  /** For the notice of a removal: what it removed. */
  readonly removed: readonly string[] | null;
}

/** The index document of one memento. */
export interface MementoDocument extends StoreDocument {
  readonly _id: string;
  readonly order: number;
  readonly timeline: string;
  readonly sequence: number;
  readonly memento: string;
  /** The log number of the notice that removed it; 0 while it lives. */
  readonly removedBy: number;
  /** The entry as it stands in the pack's header. */
  readonly entry: string;
  readonly caretaker: string;
  readonly name?: string;
}

/** Slots of one pack at most; an order is a commit's number times this, plus the slot. */
export const SLOTS_MAX = 2 ** 20;

/** The store's own facts. */
export const FACTS = "facts";

export const mementoKey = (timeline: string, sequence: number): string => `m/${timeline}/${sequence}`;
export const timelineKey = (key: string): string => `t/${key}`;
export const keyKey = (id: string): string => `k/${id}`;
export const caretakerKey = (name: string): string => `c/${name}`;
export const nameKey = (caretaker: string, name: string): string => `n/${JSON.stringify([caretaker, name])}`;
/** One text for each address. */
export const addressText = ({ caretaker, originator, partition, fork }: TimelineAddress): string =>
  JSON.stringify([caretaker, originator, partition, fork]);

export const orderOf = (commit: number, slot: number): number => commit * SLOTS_MAX + slot;
export const commitOf = (order: number): number => Math.floor(order / SLOTS_MAX);
export const slotOf = (order: number): number => order % SLOTS_MAX;

/** One text for a label with this value, and for a metadata path with this one. */
export const labelText = (key: string, value: string): string => JSON.stringify([key, value]);
export const metadataText = (path: string, value: Json): string => `${JSON.stringify(path)} ${canonicalJson(value)}`;

/** A text that sorts by its bytes as the name does by its UTF-16 code units. */
const sortableName = (name: string): string => Buffer.from(name, "utf16le").swap16().toString("hex");

/** The fields of a memento's index document. */
export function mementoFields(entry: MementoEntry, commit: number, slot: number): Fields {
  const { run, stage, name } = entry;
  return {
    at: commit,
    order: orderOf(commit, slot),
    timeline: entry.timeline,
    sequence: entry.sequence,
    memento: entry.id,
    removedBy: 0,
    entry: entryText(entry),
    caretaker: entry.caretaker,
    originator: entry.originator,
    kind: entry.kind,
    status: entry.status,
    reason: entry.reason,
    created: entry.created,
    bytes: entry.sizes.logicalBytes,
    nameKey: sortableName(name ?? ""),
    part: isPart(entry),
    labels: Object.entries(entry.labels).map(([key, value]) => labelText(key, value)),
    metadata: Object.entries(entry.metadata).map(([path, value]) => metadataText(path, value)),
    ...(run === undefined ? {} : { run }),
    ...(stage === undefined ? {} : { stage }),
    ...(name === undefined ? {} : { name }),
  };
}

/** The entry of a memento's index document; DAMAGED when it is none. */
export function entryOf({ entry, _id }: MementoDocument): MementoEntry {
  const expanded = expandEntry(parsed(entry, _id));
  if (expanded === null) throw damagedDocument(_id);
  return expanded;
}

/** The fields of a new timeline's document. */
export function timelineFields(record: TimelineRecord, lease: Lease, made: number): Fields {
  return {
    at: made,
    made,
    address: addressText(record),
    of: record.caretaker,
    record: JSON.stringify(record),
    ...leaseFields(lease),
    request: null,
    head: null,
    headSequence: 0,
    headCheck: null,
  };
}

export function leaseFields(lease: Lease): Fields {
  return { epoch: lease.epoch, owner: lease.owner, lease: JSON.stringify(lease) };
}

/** A timeline as it stands in its document. */
export function timelineOf(document: StoreDocument): TimelineState {
  const { _id, record, lease, head, headSequence, headCheck, request, epoch, owner } = document;
  const stored = parsed(lease, _id) as Lease;
  if (stored.epoch !== epoch || stored.owner !== owner) throw damagedDocument(_id);
  return {
    record: parsed(record, _id) as TimelineRecord,
    lease: stored,
    head: headOf({ head, headSequence, headCheck, _id }),
    request: request as TimelineRequest | null,
  };
}

/** A timeline's head as it stands in its document. */
export function headOf({ _id, head, headSequence, headCheck }: StoreDocument): TimelineState["head"] {
  if (head === null && headSequence === 0) return null;
  if (typeof head !== "string" || typeof headSequence !== "number" || typeof headCheck !== "string")
    throw damagedDocument(_id);
  return { id: head, sequence: headSequence, check: headCheck };
}

/** A value that is kept as JSON text; DAMAGED when it is none. */
export function parsed(text: unknown, id: string | number): unknown {
  try {
    return JSON.parse(String(text)) as unknown;
  } catch (cause) {
    throw damagedDocument(id, cause);
  }
}

/** The error of a document whose content cannot be. */
export function damagedDocument(id: string | number, cause?: unknown): MementoError {
  return new MementoError(
    "DAMAGED",
    `The document ${id} is not as it was written`,
    cause === undefined ? {} : { cause },
  );
}

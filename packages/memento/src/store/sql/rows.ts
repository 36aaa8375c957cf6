import type { OriginatorKind } from "../../core/memento.ts";
import type { Lease, TimelineHead, TimelineRecord, TimelineState } from "../../core/timeline.ts";
import { damagedRow, leaseHolderOf, nullable, textOf } from "../columns.ts";
import type { CaretakerRecord, KeyRecord, StoreMeta } from "../store.ts";

/** A row as a server's client gives it; whole numbers may come as texts, or as bigint where the program has the client read them so. */
export type Row = Readonly<Record<string, unknown>>;

/** What becomes of a data key: it seals, it only opens, or nothing but its id is left. */
export type KeyState = "active" | "retired" | "dropped";

/** A column's whole number; DAMAGED when it holds anything else. */
export function numberOf(row: Row, column: string): number {
  const value = row[column];
  const isText = typeof value === "string" && /^-?[0-9]{1,16}$/.test(value);
  const number = isText || typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Number.isSafeInteger(number)) return number;
  throw damagedRow(`The column ${column} of a row holds no whole number`);
}

/** The store's facts. */
export function metaOf(row: Row): StoreMeta {
  return {
    format: numberOf(row, "format"),
    id: textOf(row, "id"),
    sealed: numberOf(row, "sealed") !== 0,
    created: textOf(row, "created"),
    check: textOf(row, "record_check"),
  };
}

/** The values of `insertFacts`. */
export function metaValues({ format, id, sealed, created, check }: StoreMeta): readonly (string | number)[] {
  return [format, id, sealed ? 1 : 0, created, check];
}

/** A wrapped key. */
export function keyOf(row: Row): KeyRecord {
  const purpose = textOf(row, "purpose");
  if (purpose !== "data" && purpose !== "integrity")
    throw damagedRow(`A key has the purpose ${JSON.stringify(purpose)}`);
  const state = textOf(row, "state");
  if (state !== "active" && state !== "retired") throw damagedRow(`A key has the state ${JSON.stringify(state)}`);
  return {
    id: textOf(row, "id"),
    purpose,
    group: textOf(row, "sharing_group"),
    ring: textOf(row, "ring"),
    wrapped: textOf(row, "wrapped"),
    created: textOf(row, "created"),
    ...(state === "retired" ? { retired: true as const } : {}),
  };
}

/** The values of `insertKey`. */
export function keyValues({ id, purpose, group, ring, wrapped, created, retired }: KeyRecord): readonly string[] {
  const state: KeyState = retired === true ? "retired" : "active";
  return [id, purpose, group, ring, wrapped, created, state];
}

/** A caretaker. */
export function caretakerOf(row: Row): CaretakerRecord {
  return {
    name: textOf(row, "name"),
    created: textOf(row, "created"),
    version: numberOf(row, "version"),
    policy: textOf(row, "policy"),
    check: textOf(row, "record_check"),
  };
}

/** A timeline's head, from a row with its three columns; null for an empty timeline. */
export function headOf(row: Row): TimelineHead | null {
  const sequence = numberOf(row, "head_sequence");
  if (sequence === 0 && row["head_id"] === null) return null;
  return { id: textOf(row, "head_id"), sequence, check: textOf(row, "head_check") };
}

/** A timeline as it stands. */
export function timelineOf(row: Row): TimelineState {
  const request = nullable(row, "request", textOf);
  if (request !== null && request !== "pause")
    throw damagedRow(`A timeline has the request ${JSON.stringify(request)}`);
  return { record: timelineRecordOf(row), head: headOf(row), lease: leaseOf(row), request };
}

function timelineRecordOf(row: Row): TimelineRecord {
  return {
    key: textOf(row, "timeline"),
    caretaker: textOf(row, "caretaker"),
    originator: textOf(row, "originator"),
    partition: textOf(row, "partition_key"),
    fork: textOf(row, "fork"),
    // The record's keyed check covers it.
    kind: textOf(row, "kind") as OriginatorKind,
    created: textOf(row, "created"),
    forkedFrom: nullable(row, "forked_from", textOf),
    check: textOf(row, "record_check"),
  };
}

function leaseOf(row: Row): Lease {
  return {
    epoch: numberOf(row, "lease_epoch"),
    owner: nullable(row, "lease_owner", textOf),
    expiresAt: numberOf(row, "lease_expires_at"),
    holder: leaseHolderOf(nullable(row, "lease_holder", textOf)),
    check: textOf(row, "lease_check"),
  };
}

/** The values of `insertTimeline`, behind the address's digest and without those of the lease. */
export function timelineValues(record: TimelineRecord): readonly (string | null)[] {
  const { key, caretaker, originator, partition, fork, kind, created, forkedFrom, check } = record;
  return [key, caretaker, originator, partition, fork, kind, created, forkedFrom, check];
}

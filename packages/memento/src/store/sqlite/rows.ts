import type { SQLOutputValue } from "node:sqlite";

import type { OriginatorKind } from "../../core/memento.ts";
import type { Lease, TimelineHead, TimelineRecord, TimelineState } from "../../core/timeline.ts";
import { damagedRow, leaseHolderOf, nullable, textOf } from "../columns.ts";
import type { CaretakerRecord, KeyRecord, StoreMeta } from "../store.ts";

/** A row as `node:sqlite` gives it. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** A column's whole number; DAMAGED when it holds anything else. */
export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value === "number" && Number.isInteger(value)) return value;
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

/** A wrapped key. */
export function keyOf(row: Row): KeyRecord {
  const purpose = textOf(row, "purpose");
  if (purpose !== "data" && purpose !== "integrity")
    throw damagedRow(`A key has the purpose ${JSON.stringify(purpose)}`);
  const ring = textOf(row, "ring");
  return {
    id: textOf(row, "id"),
    purpose,
    group: textOf(row, "sharing_group"),
    ring: ring.replace(/^!/u, ""),
    wrapped: textOf(row, "wrapped"),
    created: textOf(row, "created"),
    ...(ring.startsWith("!") ? { retired: true as const } : {}),
  };
}

/** The values of `insertKey`. */
export function keyValues({ id, purpose, group, ring, wrapped, created, retired }: KeyRecord): readonly string[] {
  return [id, purpose, group, retired === true ? `!${ring}` : ring, wrapped, created];
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

/** True where a timeline's row has no head beside it, not even that of an empty timeline. */
export const lacksHead = (row: Row): boolean => row["head_sequence"] === null;

/** A timeline's head, from a row with its three columns; null for an empty timeline. */
export function headOf(row: Row): TimelineHead | null {
  if (lacksHead(row)) throw damagedRow("The head of a timeline is missing");
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
    key: textOf(row, "key"),
    caretaker: textOf(row, "caretaker"),
    originator: textOf(row, "originator"),
    partition: textOf(row, "partition"),
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

/** The values of `insertTimeline`, without those of the lease. */
export function timelineValues(record: TimelineRecord): readonly (string | null)[] {
  const { key, caretaker, originator, partition, fork, kind, created, forkedFrom, check } = record;
  return [key, caretaker, originator, partition, fork, kind, created, forkedFrom, check];
}

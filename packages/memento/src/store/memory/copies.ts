import type { Lease, TimelineAddress, TimelineHead, TimelineRecord, TimelineRequest } from "../../core/timeline.ts";
import type { SalvagedPack } from "../store.ts";
import type { MemoryCommit } from "./log.ts";

/** A timeline as the memory store keeps it. */
export interface MemoryTimeline {
  readonly record: TimelineRecord;
  head: TimelineHead | null;
  lease: Lease;
  request: TimelineRequest | null;
}

/** What a commit's index says is in it. */
export function slotsOf({ accepted, entries, removed }: MemoryCommit): SalvagedPack["mementos"] {
  return accepted.map((slot) => ({ id: entries[slot]?.id ?? "", slot, removed: removed.has(slot) }));
}

/** A commit's bytes and what its index says is in it. */
export function salvageOf(commit: MemoryCommit): SalvagedPack {
  const [header, body] = [copy(commit.header), commit.body && copy(commit.body)];
  return { bytes: Buffer.concat([header, body ?? new Uint8Array()]), header, body, mementos: slotsOf(commit) };
}

/** Bytes that nobody else can change. */
export const copy = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

/** One text for each address. */
export const addressText = ({ caretaker, originator, partition, fork }: TimelineAddress): string =>
  JSON.stringify([caretaker, originator, partition, fork]);

/** One text for each name of a caretaker's. */
export const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);

/** True when this owner holds the lease under this epoch. */
export const holds = (lease: Lease, epoch: number, owner: string | null): boolean =>
  lease.epoch === epoch && lease.owner !== null && lease.owner === owner;

/** Freezes a value and all in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    for (const member of Object.values(value)) deepFreeze(member);
    Object.freeze(value);
  }
  return value;
}

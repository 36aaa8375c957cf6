import type { OriginatorKind } from "./memento.ts";

/** What makes a timeline the one that is meant. */
export interface TimelineAddress {
  readonly caretaker: string;
  readonly originator: string;
  /** Tells runs apart that go on at once; empty by default. */
  readonly partition: string;
  /** A fork's own name; empty on the original line. */
  readonly fork: string;
}

/** A timeline's fixed facts. */
export interface TimelineRecord extends TimelineAddress {
  /** 12 characters, ours, never reused. */
  readonly key: string;
  readonly kind: OriginatorKind;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** The memento that a fork started from; null elsewhere. */
  readonly forkedFrom: string | null;
  /** Keyed check over all of the above. */
  readonly check: string;
}

/** The last memento that was appended to a timeline. */
export interface TimelineHead {
  readonly id: string;
  readonly sequence: number;
  /** Keyed check over timeline key, id and sequence. */
  readonly check: string;
}

/** A hint about the process that holds a lease; lets others on the same machine see that it is dead. Never trusted for safety. */
export interface LeaseHolder {
  readonly host: string;
  readonly bootId: string;
  readonly pid: number;
  /** The process's start time in the kernel's own ticks, so that a reused pid is told apart. */
  readonly processStart: string;
}

/** The right to write a timeline. */
export interface Lease {
  /** Grows by one with each acquisition, never goes back; 0 before the first. */
  readonly epoch: number;
  /** A random token made at each acquisition; null when nobody holds it. */
  readonly owner: string | null;
  /** Milliseconds since 1970 by the holder's clock; after it others may take over. 0 when nobody holds it. */
  readonly expiresAt: number;
  readonly holder: LeaseHolder | null;
  /** Keyed check over timeline key and all of the above. */
  readonly check: string;
}

/** What somebody asked the holder of a timeline to do; the holder sees it when it renews. */
export type TimelineRequest = "pause";

/** A timeline as it stands. */
export interface TimelineState {
  readonly record: TimelineRecord;
  readonly head: TimelineHead | null;
  readonly lease: Lease;
  readonly request: TimelineRequest | null;
}

/** The address in one line for people: `caretaker/originator@partition#fork`. */
export function describeAddress(address: TimelineAddress): string {
  const partition = address.partition === "" ? "" : `@${address.partition}`;
  const fork = address.fork === "" ? "" : `#${address.fork}`;
  return `${address.caretaker}/${address.originator}${partition}${fork}`;
}

import type { Lease, TimelineRecord } from "../../core/timeline.ts";
import type { CaretakerRecord } from "../store.ts";
import type { LogRecord } from "./log-reader.ts";
import type { LogMeaning } from "./log.ts";
import { addressText } from "./paths.ts";
import { SequenceSet, type SequenceRange } from "./sequence-set.ts";

/**
 * An entry of a caretaker's log: a timeline that was made, or a notice together with all that it is the notice of. So a
 * removal of any number of mementos, or a new policy, is one file that is there or is not.
 */
export type CaretakerEntry =
  | { readonly kind: "timeline"; readonly record: TimelineRecord; readonly lease: Lease }
  | NoticeEntry;

/** A notice, and what it does. */
export interface NoticeEntry {
  readonly kind: "notice";
  /** The notice's header bytes, base64. */
  readonly header: string;
  /** The caretaker from here on; null when it is removed, left out when it stays. */
  readonly caretaker?: CaretakerRecord | null;
  /** What is removed, by timeline. */
  readonly removed?: Readonly<Record<string, readonly SequenceRange[]>>;
}

/** A caretaker as its log has it. Changed in place as the log is read on. */
export interface CaretakerStanding {
  record: CaretakerRecord | null;
  /** When the present record's line of versions began, as a stamp. */
  since: number;
  /** The position of each timeline's making, by key, in the order of their making. */
  readonly timelines: Map<string, { readonly position: number; readonly stamp: number }>;
  /** The timeline with each address. */
  readonly addresses: Map<string, string>;
  /** What was removed, by timeline. */
  readonly removed: Map<string, SequenceSet>;
}

interface EncodedStanding {
  readonly record: CaretakerRecord | null;
  readonly since: number;
  /** Key, position, stamp and address of each. */
  readonly timelines: readonly (readonly [string, number, number, string])[];
  readonly removed: readonly (readonly [string, readonly SequenceRange[]])[];
}

/** What the entries of a caretaker's log add up to. */
export const caretakerMeaning: LogMeaning<CaretakerEntry, CaretakerStanding> = {
  initial: () => ({ record: null, since: 0, timelines: new Map(), addresses: new Map(), removed: new Map() }),
  fold: foldEntry,
  encode: (state): EncodedStanding => {
    const addresses = new Map([...state.addresses].map(([address, key]) => [key, address]));
    return {
      record: state.record,
      since: state.since,
      timelines: [...state.timelines].map(([key, made]) => [key, made.position, made.stamp, addresses.get(key) ?? ""]),
      removed: [...state.removed].map(([key, set]) => [key, set.ranges]),
    };
  },
  decode: (encoded): CaretakerStanding => {
    const { record, since, timelines, removed } = encoded as EncodedStanding;
    return {
      record,
      since,
      timelines: new Map(timelines.map(([key, position, stamp]) => [key, { position, stamp }])),
      addresses: new Map(timelines.map(([key, , , address]) => [address, key])),
      removed: new Map(removed.map(([key, ranges]) => [key, new SequenceSet(ranges)])),
    };
  },
  // The state grows with the log, so it is written ever more rarely; all writes together stay in proportion to the log.
  stateEvery: (position) => Math.max(1, position >>> 5),
};

function foldEntry(state: CaretakerStanding, { entry, position, stamp }: LogRecord<CaretakerEntry>): CaretakerStanding {
  if (entry.kind === "timeline") {
    state.timelines.set(entry.record.key, { position, stamp });
    state.addresses.set(addressText(entry.record), entry.record.key);
    return state;
  }
  if (entry.caretaker !== undefined) {
    if (state.record === null) state.since = stamp;
    state.record = entry.caretaker;
  }
  for (const [timeline, ranges] of Object.entries(entry.removed ?? {})) {
    const set = state.removed.get(timeline) ?? new SequenceSet();
    for (const range of ranges) set.addRange(range);
    state.removed.set(timeline, set);
  }
  return state;
}

/** True when the memento at this place was removed. */
export function isRemoved(state: CaretakerStanding, timeline: string, sequence: number): boolean {
  return state.removed.get(timeline)?.has(sequence) ?? false;
}

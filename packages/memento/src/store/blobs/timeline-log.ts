import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { Lease, TimelineHead, TimelineRequest } from "../../core/timeline.ts";
import type { LogRecord } from "./log-reader.ts";
import type { LogMeaning } from "./log.ts";

/** A memento in an entry of a timeline's log. */
export interface AppendedRecord {
  /** Where it is in its pack. */
  readonly slot: number;
  readonly entry: MementoEntry;
  readonly headCheck: string;
}

/** Mementos of one batch that became the timeline's newest. */
export interface AppendEntry {
  readonly kind: "append";
  /** The head's sequence after this entry; every kind of entry says it, so that a memento is found by halving. */
  readonly sequence: number;
  readonly pack: string;
  /** Bytes of the pack's header and body. */
  readonly packBytes: number;
  /** At least one, in their order. */
  readonly records: readonly AppendedRecord[];
}

/**
 * An entry of a timeline's log. Takeovers, releases and requests stand in the same line as the mementos: a worker that was
 * taken over finds the position that it wants to write taken, reads the higher epoch there, and is fenced.
 *
 * A `void` entry says that a memento whose writer seems to be gone may not be appended by what its writer has prepared so
 * far: its pack may be emptied, its name given to another. A writer who was only slow meets the entry before it can
 * commit, and prepares anew.
 */
export type TimelineEntry =
  | AppendEntry
  | { readonly kind: "lease" | "release"; readonly sequence: number; readonly lease: Lease }
  | { readonly kind: "request"; readonly sequence: number; readonly request: TimelineRequest | null }
  | { readonly kind: "void"; readonly sequence: number; readonly id: string };

/** A timeline as its log has it. */
export interface TimelineStanding {
  readonly head: TimelineHead | null;
  /** As it was taken or released; a renewal lies in a file of its own. */
  readonly lease: Lease;
  readonly request: TimelineRequest | null;
  /** How often each memento was voided that could still be appended. */
  readonly voids: Readonly<Record<string, number>>;
}

/** In place of an id in a `void` entry: nothing that anybody has prepared for this timeline may be appended, whatever its id. */
export const EVERYTHING = "";

const STATE_EVERY = 32;

/** What the entries of a timeline's log add up to, from the lease that it was made with. */
export function timelineMeaning(lease: Lease): LogMeaning<TimelineEntry, TimelineStanding> {
  return {
    initial: () => ({ head: null, lease, request: null, voids: {} }),
    fold: (state, { entry }) => foldEntry(state, entry),
    encode: (state) => state,
    decode: (encoded) => encoded as TimelineStanding,
    stateEvery: () => STATE_EVERY,
  };
}

function foldEntry(state: TimelineStanding, entry: TimelineEntry): TimelineStanding {
  switch (entry.kind) {
    case "append": {
      const last = entry.records.at(-1);
      if (last === undefined) return state;
      const head = { id: last.entry.id, sequence: last.entry.sequence, check: last.headCheck };
      return { ...state, head, voids: voidsAbove(state.voids, head.sequence) };
    }
    case "lease":
      return { ...state, lease: entry.lease };
    case "release":
      return { ...state, lease: entry.lease, request: null };
    case "request":
      return { ...state, request: entry.request };
    case "void":
      return { ...state, voids: { ...state.voids, [entry.id]: (state.voids[entry.id] ?? 0) + 1 } };
  }
}

/** A place that is behind the head will never be taken by what was voided there. */
function voidsAbove(voids: TimelineStanding["voids"], sequence: number): TimelineStanding["voids"] {
  const kept = Object.entries(voids).filter(
    ([id]) => id === EVERYTHING || (parseMementoId(id)?.sequence ?? 0) > sequence,
  );
  return Object.fromEntries(kept);
}

/** The head's sequence; 0 for an empty timeline. */
export function headSequence({ head }: Pick<TimelineStanding, "head">): number {
  return head?.sequence ?? 0;
}

/** The entry as an append; null for the other kinds. */
export function appendIn(record: LogRecord<TimelineEntry>): AppendEntry | null {
  return record.entry.kind === "append" ? record.entry : null;
}

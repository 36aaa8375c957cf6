import type { TimelineState } from "../../core/timeline.ts";
import type { MementoStore } from "../../store/store.ts";
import { isMaintenance } from "../maintenance.ts";

/** How far a copy is behind the store that it is of. */
export interface CopyLag {
  /** Mementos that it does not have yet, removed ones included. */
  readonly mementos: number;
  /** Timelines that they are on. */
  readonly timelines: number;
  /** Timelines on which it has mementos that the other one does not have. */
  readonly ahead: number;
}

/** Compares two stores by the heads of their timelines; no key is needed, and no memento is read. */
export async function copyLag(from: MementoStore, to: MementoStore): Promise<CopyLag> {
  const there = new Map<string, number>();
  for await (const state of to.timelines(null)) there.set(state.record.key, sequenceOf(state));
  const lag = { mementos: 0, timelines: 0, ahead: 0 };
  for await (const state of from.timelines(null)) {
    if (isMaintenance(state.record)) continue;
    const behind = sequenceOf(state) - (there.get(state.record.key) ?? 0);
    if (behind < 0) lag.ahead += 1;
    if (behind <= 0) continue;
    lag.mementos += behind;
    lag.timelines += 1;
  }
  return lag;
}

const sequenceOf = ({ head }: TimelineState): number => head?.sequence ?? 0;

import { MementoError } from "../../core/errors.ts";
import { describeAddress, type TimelineRecord, type TimelineState } from "../../core/timeline.ts";
import { isMaintenance } from "../maintenance.ts";
import type { Vault } from "../vault.ts";
import type { CopiedLine, CopyScope } from "./scope.ts";

/** What a copy finds of its timelines in the store that it writes to. */
export interface CopyStanding {
  /** By the key of each timeline that is copied; null where there is none yet. */
  readonly states: ReadonlyMap<string, TimelineState | null>;
  /** Caretakers that have timelines here which the copy does not bring: names may belong to those. */
  readonly foreign: ReadonlySet<string>;
}

/**
 * Compares the timelines of a copy with those of the store that it writes to, before anything is written. EXISTS when an
 * address or a key is taken by something else, CONFLICT when a timeline has gone another way since.
 */
export async function copyStanding(from: Vault, to: Vault, { lines, caretaker }: CopyScope): Promise<CopyStanding> {
  const byKey = new Map<string, TimelineState>();
  const byAddress = new Map<string, TimelineState>();
  const foreign = new Set<string>();
  for await (const found of to.store.timelines(caretaker)) {
    if (isMaintenance(found.record)) continue;
    const state = to.verified(found);
    byKey.set(state.record.key, state);
    byAddress.set(addressText(state.record), state);
    if (!lines.has(state.record.key)) foreign.add(state.record.caretaker);
  }
  const states = new Map<string, TimelineState | null>();
  for (const [key, line] of lines) {
    const state = byKey.get(key) ?? null;
    const same = byAddress.get(addressText(line.state.record)) ?? null;
    if (state !== null && state !== same) throw taken(line, state, "has the same key");
    if (same !== null && state === null) throw taken(line, same, "is another one");
    if (state !== null) await demandSameWay(from, to, line, state);
    states.set(key, state);
  }
  return { states, foreign };
}

/** Ids are never made twice: when one store has the other's last memento, it has all before it. */
async function demandSameWay(from: Vault, to: Vault, { state, upTo }: CopiedLine, here: TimelineState): Promise<void> {
  if (here.head === null || state.head === null || here.head.id === state.head.id) return;
  const isBehind = here.head.sequence <= upTo;
  if (!isBehind && state.head.sequence !== upTo) return;
  const known = isBehind ? await from.store.read(here.head.id) : await to.store.read(state.head.id);
  if (known !== null) return;
  const id = isBehind ? here.head.id : state.head.id;
  throw new MementoError(
    "CONFLICT",
    `Timeline ${describeAddress(state.record)} has gone another way in ${to.store.url}: only one of the stores has ${id}`,
    {
      hint: "Copy into another store, or take what is missing over as a fork by `memento export` and `memento import --fork NAME`.",
      details: { timeline: state.record.key, id },
    },
  );
}

const addressText = ({ caretaker, originator, partition, fork }: TimelineRecord): string =>
  JSON.stringify([caretaker, originator, partition, fork]);

function taken({ state }: CopiedLine, { record }: TimelineState, why: string): MementoError {
  return new MementoError(
    "EXISTS",
    `The store has a timeline ${describeAddress(record)} (${record.key}) already, which ${why}: ${describeAddress(state.record)} cannot be copied beside it`,
    { hint: "Copy into another store.", details: { timeline: record.key } },
  );
}

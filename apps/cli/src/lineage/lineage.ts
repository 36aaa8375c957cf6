import { PIECE, type Memento, type MementoEntry, type ProgressRecord } from "@mementojs/memento";
import { mementoQuery } from "@mementojs/memento/store";
import type { OpenedMemento } from "@mementojs/memento/vault";

import { timelineName, type LivingTimeline } from "../pipelines/timelines.ts";
import { isFlowSummary } from "../report/memento-view.ts";

/** A memento in its lineage. */
export interface LineageNode {
  readonly entry: MementoEntry;
  /** The memento whose content it took: the rollback's target, the fork's origin, else the one before. Null for a first one. */
  readonly ground: string | null;
  /** What it stands on, the ground first; after a rollback also the head that was left. Only mementos of this lineage. */
  readonly parents: readonly string[];
  /** Source records that the stage had taken, or that it took in all; null where the memento says nothing of it. */
  readonly records: number | null;
  /** True: it leads to its timeline's head. False: a rollback has left it. */
  readonly current: boolean;
}

/** A timeline and its forks. */
export interface Lineage {
  readonly name: string;
  readonly timelines: readonly LivingTimeline[];
  /** Newest first. */
  readonly nodes: readonly LineageNode[];
  /** How many older mementos were left out by the limit. */
  readonly older: number;
}

/** Which part of a lineage to read. */
export interface LineageOptions {
  /** At most so many mementos, the newest; null for all. */
  readonly limit: number | null;
}

/** Sorts timelines into families: each original with its forks, in the order of their making. */
export function familiesOf(timelines: readonly LivingTimeline[]): readonly (readonly LivingTimeline[])[] {
  const families = Map.groupBy(timelines, ({ record: { caretaker, originator, partition } }) =>
    JSON.stringify([caretaker, originator, partition]),
  );
  return [...families.values()];
}

/** Reads the lineage of a family of timelines. */
export async function readLineage(
  memento: Memento,
  family: readonly LivingTimeline[],
  { limit }: LineageOptions,
): Promise<Lineage> {
  const entries = await readEntries(memento, family);
  const shown = entries.slice(0, limit ?? entries.length);
  const facts = new Map<string, EntryFacts>();
  for (const entry of shown) facts.set(entry.id, await factsOf(memento, entry));
  const grounds = groundsOf(entries, facts);
  const current = currentIds(family, grounds);
  const [first] = family;
  return {
    name:
      first === undefined ? "" : timelineName({ ...first.record, fork: family.length > 1 ? "" : first.record.fork }),
    timelines: family,
    nodes: shown.map((entry) => {
      const { ground = null, before = null } = grounds.get(entry.id) ?? {};
      const parents = [ground, entry.reason === "rollback" ? before : null].filter((id) => id !== null);
      return {
        entry,
        ground,
        parents: [...new Set(parents)],
        records: facts.get(entry.id)?.records ?? null,
        current: current.has(entry.id),
      };
    }),
    older: entries.length - shown.length,
  };
}

async function readEntries(memento: Memento, family: readonly LivingTimeline[]): Promise<readonly MementoEntry[]> {
  const [first, ...others] = family;
  if (first === undefined) return [];
  const { key, caretaker, originator } = first.record;
  const keys = new Set([key, ...others.map(({ record }) => record.key)]);
  // One query for the whole family gives the order across its timelines: that of the store's log.
  const filter = others.length === 0 ? { timeline: key } : { caretaker, originator };
  const entries: MementoEntry[] = [];
  for await (const { entry } of memento.vault.store.query(mementoQuery(filter))) {
    if (keys.has(entry.timeline)) entries.push(entry);
  }
  return entries;
}

interface EntryFacts {
  readonly records: number | null;
  /** A rollback's target. */
  readonly target: string | null;
}

/** Mementos that were not taken while records were on their way. */
const AT_REST: ReadonlySet<MementoEntry["reason"]> = new Set([
  "start",
  "rollback-begin",
  "rollback",
  "edit",
  "reset",
  "adopt",
  "resume",
  "fork",
]);

/** Outputs are read for their count alone: a large one is no summary of a flow. */
const SUMMARY_BYTES_MAX = 65_536;

async function factsOf(memento: Memento, entry: MementoEntry): Promise<EntryFacts> {
  if (entry.kind !== "pipeline") return { records: null, target: null };
  const opened = await memento.vault.load(entry.id);
  const evidence = opened.fields()["evidence"] as { readonly target?: unknown; readonly only?: unknown } | undefined;
  const goesBack = (entry.reason === "rollback" || entry.reason === "adopt") && evidence?.only === undefined;
  const target = goesBack && typeof evidence?.target === "string" ? evidence.target : null;
  return { records: await recordsOf(opened), target };
}

async function recordsOf(opened: OpenedMemento): Promise<number | null> {
  const { reason, stage } = opened.entry;
  if (stage === undefined || AT_REST.has(reason)) return null;
  const key = PIECE.output + stage;
  const size = opened.directory.get(key)?.bytes;
  if (reason === "stage" && size !== undefined) {
    const output = size > SUMMARY_BYTES_MAX ? null : await opened.value(key);
    return isFlowSummary(output) ? output.recordsIn : null;
  }
  const own = await opened.value(PIECE.underWay + stage);
  const progress = (own ?? (await opened.value(PIECE.progress))) as ProgressRecord | undefined;
  return progress === undefined || progress.records === 0 ? null : progress.records;
}

interface Ground {
  readonly ground: string | null;
  /** The memento before it on its timeline. */
  readonly before: string | null;
}

/** For each memento the one it stands on. Where that was removed, the nearest older one of its timeline stands in for it. */
function groundsOf(
  entries: readonly MementoEntry[],
  facts: ReadonlyMap<string, EntryFacts>,
): ReadonlyMap<string, Ground> {
  const live = new Set(entries.map(({ id }) => id));
  const before = new Map<string, string>();
  const newest = new Map<string, string>();
  for (const { id, timeline } of entries.toReversed()) {
    const last = newest.get(timeline);
    if (last !== undefined) before.set(id, last);
    newest.set(timeline, id);
  }
  return new Map(
    entries.map(({ id, parent, reason }) => {
      const previous = before.get(id) ?? (parent !== null && live.has(parent) ? parent : null);
      const target = reason === "rollback" ? (facts.get(id)?.target ?? null) : null;
      return [id, { ground: target !== null && live.has(target) ? target : previous, before: previous }] as const;
    }),
  );
}

function currentIds(family: readonly LivingTimeline[], grounds: ReadonlyMap<string, Ground>): ReadonlySet<string> {
  const current = new Set<string>();
  for (const { head } of family) {
    let id: string | null = head.id;
    while (id !== null && !current.has(id)) {
      current.add(id);
      id = grounds.get(id)?.ground ?? null;
    }
  }
  return current;
}

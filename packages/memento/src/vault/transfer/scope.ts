import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import type { IndexRow } from "../../store/store.ts";
import { ExportPlan, type Passage } from "../archive/export-plan.ts";
import { isMaintenance } from "../maintenance.ts";
import type { Vault } from "../vault.ts";

/** What of a store is to be copied; all of it where nothing is named. */
export interface CopySelection {
  /** Only this caretaker. */
  readonly caretaker?: string;
  /** Only these timelines, by their keys, with what they need of others. */
  readonly timelines?: readonly string[];
  /** Only these mementos, by their ids, with what they need; of the others of their timelines nothing but the entries comes. */
  readonly mementos?: readonly string[];
}

/** A timeline that is copied, up to one of its mementos. */
export interface CopiedLine {
  readonly state: TimelineState;
  /** The last sequence number that travels; 0 for none. */
  readonly upTo: number;
}

/** What a copy brings, decided before anything is written. */
export interface CopyScope {
  /** By their keys, in the order of their making. */
  readonly lines: ReadonlyMap<string, CopiedLine>;
  /** Whose mementos they are; null for those of several. */
  readonly caretaker: string | null;
  /** True: policies and pins travel too. */
  readonly withSettings: boolean;
  /** How a memento travels; null for one that does not. Of what was removed everything travels that is left, unless the plan says less. */
  passageOf(row: Pick<IndexRow, "entry" | "removed">): Passage | null;
  /** Which pieces of a memento travel; null where all do. */
  readonly brings: ((id: string, key: string) => boolean) | null;
}

/** Decides what a copy brings. NOT_FOUND, INVALID_ARGUMENT for a selection that contradicts itself, DAMAGED. */
export async function copyScope(
  from: Vault,
  selection: CopySelection = {},
  only: ReadonlySet<string> | null = null,
): Promise<CopyScope> {
  const { caretaker, timelines, mementos } = selection;
  if ([caretaker, timelines, mementos].filter((chosen) => chosen !== undefined).length > 1)
    throw new MementoError(
      "INVALID_ARGUMENT",
      "A caretaker, timelines and mementos are three ways to choose; take one",
    );
  if (timelines !== undefined)
    return await plannedScope(from, async (plan) => await addTimelines(from, plan, timelines));
  if (mementos !== undefined) {
    return await plannedScope(from, async (plan) => await addMementos(from, plan, mementos), true);
  }
  const lines = new Map<string, CopiedLine>();
  for await (const found of from.store.timelines(caretaker ?? null)) {
    const state = from.verified(found);
    const { key } = state.record;
    if (!isMaintenance(state.record) && (only === null || only.has(key)))
      lines.set(key, { state, upTo: state.head?.sequence ?? 0 });
  }
  if (caretaker !== undefined && only === null && lines.size === 0 && (await from.store.caretaker(caretaker)) === null)
    throw new MementoError("NOT_FOUND", `There is no caretaker ${caretaker} in ${from.store.url}`);
  return {
    lines,
    caretaker: caretaker ?? null,
    withSettings: true,
    brings: null,
    passageOf: ({ entry: { timeline, sequence }, removed }) =>
      sequence > (lines.get(timeline)?.upTo ?? 0) ? null : removed ? "needed" : "whole",
  };
}

async function addTimelines(from: Vault, plan: ExportPlan, keys: readonly string[]): Promise<void> {
  for (const key of keys) await plan.add(await from.timeline(key));
}

async function addMementos(from: Vault, plan: ExportPlan, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const stored = parseMementoId(id) === undefined ? null : await from.store.read(id);
    if (stored === null || stored.removed)
      throw new MementoError("NOT_FOUND", `There is no memento ${id} in ${from.store.url}`, { details: { id } });
    await plan.addMemento(id);
  }
}

async function plannedScope(
  from: Vault,
  add: (plan: ExportPlan) => Promise<void>,
  onlyChosen = false,
): Promise<CopyScope> {
  const plan = new ExportPlan(from, { onlyChosen });
  await add(plan);
  const caretakers = new Set([...plan.lines.values()].map(({ state }) => state.record.caretaker));
  return {
    lines: plan.lines,
    caretaker: caretakers.size === 1 ? ([...caretakers][0] ?? null) : null,
    withSettings: false,
    brings: (id, key) => plan.brings(id, key),
    passageOf: ({ entry }) => plan.passageOf(entry.id),
  };
}

/** The names of timelines, for messages. */
export function lineNames(lines: Iterable<CopiedLine>): readonly string[] {
  return [...lines].map(({ state }) => describeAddress(state.record));
}

import { isDeepStrictEqual } from "node:util";

import type { SinkInspection, SinkReverted } from "../../orchestrator/sinks/sink.ts";
import type { KitRow } from "./kit.ts";

type Image = KitRow | null;
type Table = ReadonlyMap<string, KitRow>;

/** What one position of a timeline did. */
interface Step {
  readonly timeline: string;
  readonly position: number;
  readonly changes: ReadonlyMap<string, { readonly before: Image; readonly after: Image }>;
  /** The position that a revert went back to. */
  readonly back: number | null;
  /** True: nothing foreign was left in the revert's way. */
  readonly complete: boolean;
}

/** What the model says of going back. */
export interface ModelMoves {
  readonly counts: { readonly removed: number; readonly restored: number };
  /** The items that others changed, sorted. */
  readonly foreign: readonly string[];
  readonly table: Table;
  readonly step: Omit<Step, "timeline" | "position">;
}

/**
 * What every sink of rows must do, in the plainest form: one list of what was done to which row, by all timelines. Each row is
 * followed from its mark through all that happened to it. Its goal is what it was at the mark, or what somebody else made of it
 * since; it is foreign where the two differ, and where it is not what we left.
 */
export class SinkModel {
  #table: Table = new Map();
  readonly #steps: Step[] = [];

  get table(): Table {
    return this.#table;
  }

  /** Somebody else has made the table this. */
  meddled(table: Table): void {
    this.#table = table;
  }

  /** A write has made the table this, touching `items`. */
  wrote(timeline: string, table: Table, items: Iterable<string>): void {
    const changes = new Map<string, { before: Image; after: Image }>();
    for (const item of items) changes.set(item, { before: this.#image(item), after: table.get(item) ?? null });
    this.#add(timeline, { changes, back: null, complete: true }, table);
  }

  /** A revert did what `movesTo` said. */
  reverted(timeline: string, { table, step }: ModelMoves): void {
    this.#add(timeline, step, table);
  }

  /** What going back to position `mark` does. */
  movesTo(timeline: string, mark: number, force: boolean): ModelMoves {
    const ours = this.#stepsSince(timeline, mark);
    const relevant = new Set([...ours, ...this.#claims(timeline)]);
    const steps = this.#steps.filter((step) => relevant.has(step));
    const table = new Map(this.#table);
    const [changes, foreign] = [new Map<string, { before: Image; after: Image }>(), new Array<string>()];
    const counts = { removed: 0, restored: 0 };
    for (const item of new Set(ours.flatMap((step) => [...step.changes.keys()]))) {
      const { goal, isForeign } = this.#follow(timeline, item, steps, force);
      const now = this.#image(item);
      if (isForeign) foreign.push(item);
      if (isDeepStrictEqual(now, goal)) continue;
      changes.set(item, { before: now, after: goal });
      counts[goal === null ? "removed" : "restored"] += 1;
      if (goal === null) table.delete(item);
      else table.set(item, goal);
    }
    const complete = force || foreign.length === 0;
    return { counts, foreign: foreign.toSorted(), table, step: { changes, back: mark, complete } };
  }

  /** Where a row goes, and whether somebody else has had a hand in it. */
  #follow(timeline: string, item: string, steps: readonly Step[], force: boolean): { goal: Image; isForeign: boolean } {
    let first: Image | undefined;
    let goal: Image = null;
    let left: Image = null;
    let isClaimed = false;
    for (const step of steps) {
      const change = step.changes.get(item);
      if (change === undefined) continue;
      if (step.timeline !== timeline) {
        isClaimed = true;
        continue;
      }
      if (first === undefined) first = goal = change.before;
      else if (isClaimed || !isDeepStrictEqual(left, change.before)) goal = change.before;
      left = change.after;
      isClaimed = false;
    }
    const now = this.#image(item);
    const isOurs = isDeepStrictEqual(now, left) && !(isClaimed && now !== null);
    const isForeign = !isOurs || !isDeepStrictEqual(goal, first);
    if (force) return { goal: first ?? null, isForeign };
    return { goal: isOurs ? goal : now, isForeign };
  }

  /** The timeline's steps after a mark, without what complete reverts to after it have undone. */
  #stepsSince(timeline: string, mark: number): Step[] {
    const all = this.#steps.filter((step) => step.timeline === timeline);
    const found: Step[] = [];
    for (let at = all.length; at > mark;) {
      const step = all[at - 1];
      if (step === undefined) break;
      if (step.back !== null && step.complete && step.back >= mark) at = step.back;
      else {
        found.unshift(step);
        at -= 1;
      }
    }
    return found;
  }

  /** Every other timeline's writes that it has not taken back. */
  #claims(timeline: string): Step[] {
    return this.#steps.filter((step) => {
      if (step.timeline === timeline || step.back !== null) return false;
      const all = this.#steps.filter((other) => other.timeline === step.timeline);
      let at = all.length;
      while (at > step.position) at = all[at - 1]?.back ?? at - 1;
      return at === step.position;
    });
  }

  #add(timeline: string, step: Omit<Step, "timeline" | "position">, table: Table): void {
    const position = this.#steps.filter((other) => other.timeline === timeline).length + 1;
    this.#steps.push({ ...step, timeline, position });
    this.#table = table;
  }

  #image(item: string): Image {
    return this.#table.get(item) ?? null;
  }
}

/** The names of the foreign changes in an answer, sorted. */
export function foreignItems({ foreign, kept }: Partial<SinkInspection & SinkReverted>): string[] {
  return (foreign ?? kept ?? []).map(({ item }) => item).toSorted();
}

import { isDeepStrictEqual } from "node:util";

import type { SinkInspection, SinkReverted } from "../../orchestrator/sinks/sink.ts";
import type { KitRow } from "./kit.ts";

type Image = KitRow | null;

interface Change {
  readonly before: Image;
  readonly after: Image;
}

type Table = ReadonlyMap<string, KitRow>;

/** What the model says of going back. */
export interface ModelMoves {
  readonly counts: { readonly removed: number; readonly restored: number };
  readonly foreign: readonly string[];
  readonly table: Table;
  readonly changes: ReadonlyMap<string, Change>;
}

/**
 * What every sink of rows must do, in the plainest form: for each timeline a list of what each position did to which row.
 * Going back takes a row to what it was before the first of the undone positions that touched it, provided that it still is
 * what the last of them left.
 */
export class SinkModel {
  #table: Table = new Map();
  readonly #entries = new Map<string, ReadonlyMap<string, Change>[]>();

  get table(): Table {
    return this.#table;
  }

  positions(timeline: string): number {
    return this.#entries.get(timeline)?.length ?? 0;
  }

  /** Somebody else has made the table this. */
  meddled(table: Table): void {
    this.#table = table;
  }

  /** A write has made the table this, touching `items`. */
  wrote(timeline: string, table: Table, items: Iterable<string>): void {
    const changes = new Map<string, Change>();
    for (const item of items) changes.set(item, { before: this.#image(item), after: table.get(item) ?? null });
    this.#add(timeline, changes);
    this.#table = table;
  }

  /** What going back to position `mark` does. */
  movesTo(timeline: string, mark: number, force: boolean): ModelMoves {
    const net = new Map<string, Change>();
    for (const entry of this.#entries.get(timeline)?.slice(mark) ?? []) {
      for (const [item, { before, after }] of entry)
        net.set(item, { before: net.get(item)?.before ?? (net.has(item) ? null : before), after });
    }
    const table = new Map(this.#table);
    const [changes, foreign] = [new Map<string, Change>(), new Array<string>()];
    const counts = { removed: 0, restored: 0 };
    for (const [item, { before: goal, after: left }] of net) {
      const now = this.#image(item);
      const isOurs = isDeepStrictEqual(now, left);
      if (!isOurs) foreign.push(item);
      if (isOurs ? isDeepStrictEqual(now, goal) : !force) continue;
      changes.set(item, { before: now, after: goal });
      if (goal !== null) counts.restored += 1;
      else if (now !== null) counts.removed += 1;
      if (goal === null) table.delete(item);
      else table.set(item, goal);
    }
    return { counts, foreign: foreign.toSorted(), table, changes };
  }

  /** A revert did what `movesTo` said. */
  reverted(timeline: string, { table, changes }: ModelMoves): void {
    this.#add(timeline, changes);
    this.#table = table;
  }

  #add(timeline: string, changes: ReadonlyMap<string, Change>): void {
    this.#entries.set(timeline, [...(this.#entries.get(timeline) ?? []), changes]);
  }

  #image(item: string): Image {
    return this.#table.get(item) ?? null;
  }
}

/** The names of the foreign changes in an answer, sorted. */
export function foreignItems({ foreign, kept }: Partial<SinkInspection & SinkReverted>): string[] {
  return (foreign ?? kept ?? []).map(({ item }) => item).toSorted();
}

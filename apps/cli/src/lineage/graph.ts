/** A node of a lineage, newest first in any list. */
export interface GraphNode {
  readonly id: string;
  /** The nodes that it stands on, the one whose content it took first. Ids that are not in the list are passed over. */
  readonly parents: readonly string[];
}

/** One line of a drawing. */
export interface GraphRow {
  /** One cell for each lane; drawn with one column between them. */
  readonly cells: readonly string[];
  /** What stands in the gap to the right of each cell. */
  readonly gaps: readonly string[];
  /** The node's id; null on a line that only joins or parts lanes. */
  readonly node: string | null;
  /** The lane that a line across leads to; 0 where there is none. */
  readonly joins: number;
}

/** Marks the place of a node in its row; the caller draws its own sign there. */
export const NODE_CELL = "*";

/**
 * Lays nodes out in lanes, as a version control system draws its history. Each node must come before its parents. `tips`
 * are nodes that have the first lanes for their own, in this order, however late they come.
 */
export function layOut(nodes: readonly GraphNode[], tips: readonly string[] = []): GraphRow[] {
  const known = new Set(nodes.map(({ id }) => id));
  const lanes = new Lanes(tips.filter((tip) => known.has(tip)));
  const rows: GraphRow[] = [];
  for (const { id, parents } of nodes) {
    const { lane, merged } = lanes.take(id);
    if (merged.length > 0) rows.push(lanes.joinRow(lane, merged, "╯"));
    lanes.free(merged);
    rows.push({ ...lanes.plainRow(lane), node: id, joins: 0 });
    const [first, ...others] = parents.filter((parent) => known.has(parent));
    lanes.set(lane, first ?? null);
    const opened = others.map((parent) => lanes.open(parent, lane));
    if (opened.length > 0) rows.push(lanes.joinRow(lane, opened, "╮"));
  }
  return rows;
}

/** The lanes of a drawing: each waits for the node that it leads to. */
class Lanes {
  readonly #waiting: (string | null)[];
  /** Lanes that are kept for a node which has not come yet: nothing is drawn in them. */
  readonly #kept: Set<number>;

  constructor(tips: readonly string[]) {
    this.#waiting = [...tips];
    this.#kept = new Set(tips.keys());
  }

  /** The node's lane, and the other lanes that end in it. */
  take(id: string): { readonly lane: number; readonly merged: readonly number[] } {
    const waiting = this.#waiting.flatMap((expected, lane) => (expected === id ? [lane] : []));
    const [lane = this.#place(id, 0), ...merged] = waiting;
    return { lane, merged };
  }

  set(lane: number, id: string | null): void {
    this.#kept.delete(lane);
    this.#waiting[lane] = id;
  }

  free(lanes: readonly number[]): void {
    for (const lane of lanes) this.#waiting[lane] = null;
  }

  /** A lane to the right of another one. */
  open(id: string, beside: number): number {
    return this.#place(id, beside + 1);
  }

  #place(id: string, from: number): number {
    const free = this.#waiting.findIndex((expected, lane) => lane >= from && expected === null);
    const lane = free >= 0 ? free : Math.max(from, this.#waiting.length);
    this.#waiting[lane] = id;
    return lane;
  }

  #isDrawn(lane: number): boolean {
    return this.#waiting[lane] !== null && !this.#kept.has(lane);
  }

  /** The lanes as they stand, with a node in one of them. */
  plainRow(node: number): { readonly cells: readonly string[]; readonly gaps: readonly string[] } {
    const cells = Array.from(this.#waiting, (_expected, lane) =>
      lane === node ? NODE_CELL : this.#isDrawn(lane) ? "│" : " ",
    );
    return { cells, gaps: cells.map(() => " ") };
  }

  /** A line from one lane to others on its right, which end or begin there. */
  joinRow(from: number, to: readonly number[], corner: "╯" | "╮"): GraphRow {
    const last = Math.max(...to);
    const touched = new Set(to);
    const middle = corner === "╯" ? "┴" : "┬";
    const cells = Array.from(this.#waiting, (_expected, lane) => {
      const drawn = this.#isDrawn(lane);
      if (lane < from || lane > last) return drawn ? "│" : " ";
      if (lane === from) return drawn ? "├" : "╭";
      if (touched.has(lane)) return lane === last ? corner : middle;
      return drawn ? "┼" : "─";
    });
    const gaps = cells.map((_cell, lane) => (lane >= from && lane < last ? "─" : " "));
    return { cells, gaps, node: null, joins: last };
  }
}

import { NeededPieces } from "./needed-pieces.ts";
import type { PackFacts, RecordGraph } from "./record-graph.ts";
import type { RootListing } from "./root-listing.ts";

/** What can be done about the packs of a store. */
export interface SweepPlan {
  /** Packs of which nothing is needed. */
  readonly free: readonly PackFacts[];
  /** Packs of which most bytes are not needed, and some are. */
  readonly wasteful: readonly PackFacts[];
  /** Removed mementos of which others need something. */
  readonly neededRemoved: number;
  readonly needed: NeededPieces;
}

/** Packs of fewer bytes are left as they are: sealing them anew gains nothing. */
const REPACK_BYTES_MIN = 16_384;

/** Decides, pack by pack, what is needed; changes nothing. DAMAGED when something that is needed cannot be read: then nothing must be freed. */
export function planSweep(graph: RecordGraph, { roots, removed }: RootListing): SweepPlan {
  const needed = new NeededPieces(graph);
  for (const id of roots) needed.addRoot(id);
  const free: PackFacts[] = [];
  const wasteful: PackFacts[] = [];
  let neededRemoved = 0;
  for (const pack of graph.packs.values()) {
    for (const id of pack.ids) if (!needed.isRoot(id) && needed.has(id)) neededRemoved += 1;
    // What was saved since the listing is on neither list: whether anybody needs it cannot be known, and it stays as it is.
    if (!pack.ids.every((id) => removed.has(id) || needed.isRoot(id))) continue;
    if (!pack.ids.some((id) => needed.has(id))) free.push(pack);
    else if (pack.bodyBytes >= REPACK_BYTES_MIN && isWasteful(pack, graph, needed)) wasteful.push(pack);
  }
  return { free, wasteful, neededRemoved, needed };
}

/** True when more than half of what the pack's mementos hold is needed by nobody. */
function isWasteful({ ids }: PackFacts, graph: RecordGraph, needed: NeededPieces): boolean {
  let [dead, live] = [0, 0];
  for (const id of ids) {
    const keys = needed.of(id);
    for (const [key, bytes] of graph.record(id)?.held ?? []) {
      if (keys.has(key)) live += bytes;
      else dead += bytes;
    }
  }
  return dead > live;
}

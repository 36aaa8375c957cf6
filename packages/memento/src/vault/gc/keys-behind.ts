import { isMementoError } from "../../core/errors.ts";
import type { Vault } from "../vault.ts";
import { NeededPieces } from "./needed-pieces.ts";
import { RecordGraph } from "./record-graph.ts";
import { listRoots } from "./root-listing.ts";
import { planSweep } from "./sweep.ts";

/**
 * The data keys under which lies what nobody would need once these mementos are gone: pieces that they share with
 * mementos which were removed before them, and the parts of streams, may be sealed by keys of other sessions than their own.
 * What of it cannot be opened is left out. DAMAGED when something that is kept cannot be read.
 */
export async function keysBehind(
  vault: Vault,
  ids: readonly string[],
  readPins: () => Promise<Iterable<string>>,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const gone = new Set(ids);
  const { roots, removed } = await listRoots(vault, readPins, gone);
  const graph = await RecordGraph.read(vault, signal);
  // A head among them is a root until another memento stands in front of it.
  const { needed } = planSweep(graph, { roots: new Set([...roots].filter((id) => !gone.has(id))), removed });
  const theirs = new NeededPieces(graph);
  for (const id of gone) addWhatOpens(theirs, id);
  const keys = new Set<string>();
  for (const { dataKey, ids: packed } of graph.packs.values()) {
    const isBehind = packed.some((id) => [...theirs.of(id)].some((key) => !needed.isWanted(id, key)));
    if (dataKey !== null && isBehind) keys.add(dataKey);
  }
  return keys;
}

function addWhatOpens(pieces: NeededPieces, id: string): void {
  try {
    pieces.addRoot(id);
  } catch (error) {
    if (!isMementoError(error, "DAMAGED")) throw error;
  }
}

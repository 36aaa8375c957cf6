import { sha256 } from "../../core/digest.ts";
import { parseMementoId } from "../../core/ids.ts";
import { caretakerMoved } from "../admit.ts";
import type { SeenCaretaker } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { REMOVE } from "./lua/commits.ts";

/** Removes what lives of `ids`, with its names and a notice; nothing at all when none does. */
export async function removeMementos(
  calls: StoreCalls,
  ids: readonly string[],
  notice: Uint8Array,
  seen: SeenCaretaker | undefined,
): Promise<readonly string[]> {
  const known = [...new Set(ids)].flatMap((id) => {
    const place = parseMementoId(id);
    return place === undefined ? [] : [{ id, ...place }];
  });
  if (known.length === 0) return [];
  const { keys } = calls;
  const places = known.map(({ timeline, sequence }) => keys.places(timeline, sequence));
  const marks = known.flatMap(({ id, sequence }) => [String(sequence), id.slice(id.lastIndexOf("-") + 1)]);
  const decidedBy = seen === undefined ? ["", ""] : [seen.name, String(seen.version)];
  const args = [sha256(notice), notice, ...decidedBy, ...marks];
  const { outcome, rest } = await calls.log(REMOVE, [keys.names, keys.caretakers, ...places], args);
  if (outcome === "unseen" && seen !== undefined) throw caretakerMoved(seen);
  const [live] = rest as [number[]];
  return live.flatMap((index) => known[index]?.id ?? []);
}

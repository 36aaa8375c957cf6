// Makes packs in the thread that appends them: see store/apart.ts. Loaded there by its name.
import { systemRandom } from "../core/ports.ts";
import type { PackMaker } from "../store/apart.ts";
import { RowChecks } from "./checks.ts";
import { buildLaidPack, type LaidPack } from "./pack.ts";

/** All that a pack is made of where it is appended. */
export interface PackParts extends LaidPack {
  /** What the checks of heads are keyed by. */
  readonly checkKey: Uint8Array;
}

/** The parts are `PackParts`; the answer is the digests of its mementos, slot by slot. */
export const makePack: PackMaker = async (parts, places) => {
  const { checkKey, ...laid } = parts as PackParts;
  const { header, body, digests } = await buildLaidPack(laid, systemRandom);
  const checks = new RowChecks(checkKey);
  const headChecks = places.map(({ timeline, id, sequence }) => checks.head(timeline, id, sequence));
  return { header, body, sealedBy: laid.dataKey?.id ?? null, headChecks, answer: digests };
};

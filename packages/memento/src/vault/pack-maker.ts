// Makes packs in the thread that appends them: see store/apart.ts. Loaded there by its name.
import { systemRandom } from "../core/ports.ts";
import type { PackMaker } from "../store/apart.ts";
import { buildLaidPack, type LaidPack } from "./pack.ts";

/** The parts are a `LaidPack`; the answer is the digests of its mementos, slot by slot. */
export const makePack: PackMaker = async (parts) => {
  const laid = parts as LaidPack;
  const { header, body, digests } = await buildLaidPack(laid, systemRandom);
  return { header, body, sealedBy: laid.dataKey?.id ?? null, answer: digests };
};

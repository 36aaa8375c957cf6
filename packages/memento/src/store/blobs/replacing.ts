import type { PackHeader } from "../header.ts";
import { mayReplace } from "../replacement.ts";
import type { PackReplacement } from "../store.ts";
import type { Keys } from "./keys.ts";
import type { FoundMemento, Mementos } from "./mementos.ts";
import type { PackBytes, Packs } from "./packs.ts";

/** What replacing works with. */
export interface ReplacingParts {
  readonly keys: Keys;
  readonly packs: Packs;
  readonly mementos: Mementos;
}

/** Replaces a pack by another one with the same mementos; false when it is another one than was expected. */
export async function replacePack(
  { keys, packs, mementos }: ReplacingParts,
  replacement: PackReplacement,
  understood: PackHeader,
): Promise<boolean> {
  const { header, body, dataKey, ids } = replacement;
  const pack = await packOf(mementos, ids);
  if (pack === null) return false;
  const slots = await slotsIn(mementos, pack, [...ids, ...understood.entries.map(({ id }) => id)]);
  const accepts = (last: PackBytes | null): boolean => {
    const before = { header: last?.header ?? null, hasBody: (last?.body ?? null) !== null, slots };
    return mayReplace(replacement, understood, before);
  };
  // The key is there before anything that it opens; a refusal leaves a key that opens nothing.
  if (dataKey !== null) await keys.add(dataKey);
  // Where nothing but the header stays, nothing is sealed.
  if (body !== null && understood.dataKey !== null) await keys.demandSealing(understood.dataKey, null);
  return await packs.succeed(pack, { header, body }, accepts);
}

async function packOf(mementos: Mementos, ids: readonly string[]): Promise<string | null> {
  for (const id of ids) {
    const found = await mementos.find(id);
    if (found !== null) return found.append.pack;
  }
  return null;
}

/** The mementos that the logs have in a pack, among those with these ids and their neighbours in the same entries. */
async function slotsIn(
  mementos: Mementos,
  pack: string,
  ids: readonly string[],
): Promise<readonly { readonly id: string; readonly slot: number; readonly removed: boolean }[]> {
  const slots = new Map<string, { readonly id: string; readonly slot: number; readonly removed: boolean }>();
  for (const id of ids) {
    const found = await mementos.find(id);
    if (found === null || found.append.pack !== pack) continue;
    for (const { entry, slot } of found.append.records) {
      const its: FoundMemento | null = slots.has(entry.id) ? null : await mementos.find(entry.id);
      if (its !== null) slots.set(entry.id, { id: entry.id, slot, removed: await mementos.isRemoved(its) });
    }
  }
  return [...slots.values()];
}

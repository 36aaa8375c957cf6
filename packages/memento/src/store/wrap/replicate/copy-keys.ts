import type { KeyRecord } from "../../store.ts";
import type { ReplicaPair } from "./replica-writer.ts";

/** The keys of both sides as they were before the log was followed to its end; the replica's were looked at first. */
export interface KeysBefore {
  readonly replica: readonly KeyRecord[];
  readonly primary: readonly KeyRecord[];
}

/** Looks at the keys of both sides. A key that is on the replica came from the primary, so one that the primary lacks was destroyed. */
export async function keysBefore({ primary, replica }: ReplicaPair): Promise<KeysBefore> {
  const there = await replica.keys();
  return { replica: there, primary: await primary.keys() };
}

/**
 * Brings the replica's keys to where the primary's were: wrappings, retirements and destructions. Called once every commit
 * that was there when they were looked at is on the replica. `compare` is called before a key is retired or destroyed: packs
 * that were sealed anew must be there by then. Under a retired key they could not be brought any more, and with a destroyed
 * one what is to stay would be lost.
 */
export async function copyKeys(pair: ReplicaPair, before: KeysBefore, compare: () => Promise<unknown>): Promise<void> {
  const { replica } = pair;
  const wanted = new Map(before.primary.map((key) => [key.id, key]));
  const retired: string[] = [];
  // Those that came with the commits too.
  for (const there of await replica.keys()) {
    const here = wanted.get(there.id);
    if (here === undefined) continue;
    if (here.ring !== there.ring || here.wrapped !== there.wrapped) {
      const { retired: _, ...wrapping } = here;
      await replica.rewrapKey(wrapping, there.ring);
    }
    if (here.retired === true && there.retired !== true) retired.push(there.id);
  }
  const gone = before.replica.filter(({ id, purpose }) => purpose === "data" && !wanted.has(id));
  if (retired.length + gone.length === 0) return;
  await compare();
  for (const id of retired) await replica.retireKey(id);
  for (const { id } of gone) await replica.dropKey(id);
}

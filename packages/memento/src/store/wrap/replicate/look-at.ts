import { sha256 } from "../../../core/digest.ts";
import type { MementoStore, PackGlance } from "../../store.ts";

/** What a store says of a memento's pack: by a glance where it has that, else by reading it. */
export async function lookAt(store: MementoStore, id: string): Promise<PackGlance | null> {
  if (store.glance !== undefined) return await store.glance(id);
  const stored = await store.read(id);
  if (stored === null) return null;
  const { slot, removed, header, body } = stored;
  return { slot, removed, headerDigest: sha256(header), bodyBytes: body?.byteLength ?? null };
}

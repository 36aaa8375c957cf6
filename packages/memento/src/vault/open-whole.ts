import type { OpenedMemento } from "./opened-memento.ts";
import { isDamage } from "./repair/damaged-pack.ts";
import type { Vault } from "./vault.ts";

/** A memento, opened, of which everything could be read; null where something that it needs is missing or damaged, or it is itself. */
export async function openWhole(vault: Vault, id: string): Promise<OpenedMemento | null> {
  try {
    const opened = await vault.load(id);
    for (const key of opened.keys()) await opened.value(key);
    return opened;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

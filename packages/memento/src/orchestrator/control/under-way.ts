import { MementoError } from "../../core/errors.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";

/** The newest memento of a timeline; null where it has none. */
export async function headOf(vault: Vault, timeline: string): Promise<OpenedMemento | null> {
  const { head } = await vault.timeline(timeline);
  return head === null ? null : await vault.load(head.id);
}

/** The head of a timeline whose last run is this one, and has not ended. NOTHING_TO_RESUME for any other. */
export function demandUnderWay(run: string, head: OpenedMemento | null): OpenedMemento {
  const status = head?.entry.status ?? "empty";
  const ended = status === "completed" || status === "cancelled" || status === "reverting";
  if (head !== null && head.entry.run === run && !ended) return head;
  throw new MementoError("NOTHING_TO_RESUME", `Run ${run} is not under way; its timeline stands ${status}`);
}

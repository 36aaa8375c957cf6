import type { JsonObject } from "./json.ts";
import type { MementoEntry } from "./memento.ts";

/** What happened besides a save; every one is a commit of its own in the store's log. */
export type NoticeKind =
  | "removed"
  | "restored"
  | "cleaned"
  | "erased"
  | "caretaker-saved"
  | "caretaker-removed"
  | "repaired";

/** An event that is not a save. Clear text: ids and counts only. */
export interface Notice {
  readonly kind: NoticeKind;
  readonly caretaker: string;
  readonly timeline: string | null;
  readonly mementos: readonly string[];
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly details: JsonObject;
}

/** One event of a store's log, in the order of its timeline or caretaker. */
export type MementoEvent =
  | { readonly kind: "saved"; readonly cursor: string; readonly entry: MementoEntry }
  | { readonly kind: NoticeKind; readonly cursor: string; readonly notice: Notice };

import { sha256OfJson } from "../../core/digest.ts";
import type { VerifyReport } from "../verify/verify-report.ts";

/** What is done about one thing that is damaged. */
export type RepairAction =
  /** The index is made anew from the commits. */
  | "rebuild-index"
  /** A pack is taken from a replica, and sealed under a key of this store. */
  | "restore"
  /** What is lost is given up: set aside, marked as removed, and said so in the log. The rest of its pack stays. */
  | "quarantine"
  /** A timeline whose newest memento is lost gets a new one, with all that the nearest good one has, or with nothing where none is left, so that it can go on. */
  | "go-on"
  /** A check that does not fit is made anew, though that may hide what somebody did: only with consent by name. */
  | "accept"
  /** Nothing can be done here. */
  | "none";

/** One line of a plan. */
export interface RepairItem {
  /** Tells it from the others, for example `pack:ID` or `head:TIMELINE`; consent is given by it. */
  readonly name: string;
  readonly action: RepairAction;
  /** What is wrong, in one sentence. */
  readonly problem: string;
  /** Mementos that it is about; of a quarantine, those that are given up. */
  readonly mementos: readonly string[];
  /** The replica that it is restored from. */
  readonly from: string | null;
  /** Why each replica that was asked cannot help. */
  readonly refused: readonly { readonly from: string; readonly why: string }[];
  /** For each memento that is given up, the nearest good one of its timeline. */
  readonly nearestGood: Readonly<Record<string, string | null>>;
  /** True: it is left alone unless its name is among the accepted ones. */
  readonly needsConsent: boolean;
}

/** What a repair would do. */
export interface RepairPlan {
  /** Says that nothing has moved since the plan was looked at. */
  readonly hash: string;
  /** True: nothing is damaged, and there is nothing to do. */
  readonly sound: boolean;
  readonly items: readonly RepairItem[];
  readonly before: VerifyReport;
}

/** A plan's hash: over all that it would do, and in which store. */
export function planHash(store: string, items: readonly RepairItem[]): string {
  const text = items.map(({ name, action, mementos, from, needsConsent, problem }) => ({
    name,
    action,
    mementos,
    from,
    needsConsent,
    // The index item has no mementos of its own: its words say what is written.
    problem: action === "rebuild-index" ? problem : "",
  }));
  return sha256OfJson([store, text]).slice(0, 16);
}

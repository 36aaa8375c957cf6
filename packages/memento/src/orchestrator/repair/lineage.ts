import { isMementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { JsonObject } from "../../core/json.ts";
import type { MementoEntry, MementoReason } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";

/** Some mementos in a row: those with sequence numbers from `low` to `high`. */
export interface LineSegment {
  readonly low: number;
  readonly high: number;
}

/**
 * The clear field of a memento that does not go on from the one before it: the number of the one that it goes on from; 0 for none.
 * Its evidence says so too, but that is collected with it, while what it left behind may be kept.
 */
const GOES_ON_FROM = "goesOnFrom";

/** The clear fields of a memento that goes on from `ground`, and from nothing where that is null. */
export const goingOnFrom = (ground: Pick<MementoEntry, "sequence"> | null): JsonObject => ({
  [GOES_ON_FROM]: ground?.sequence ?? 0,
});

/** Mementos that do not go on from the one before them. */
const JUMPS: readonly MementoReason[] = ["rollback", "reset", "adopt"];

/**
 * The mementos of a timeline that led to this one, as rows of sequence numbers, newest first: what a rollback, a reset or
 * an adoption left behind is not among them, though it is still there.
 */
export async function lineOf(
  vault: Vault,
  { timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">,
): Promise<LineSegment[]> {
  const jumps: { from: number; to: number }[] = [];
  for (const reason of JUMPS) {
    for await (const { entry, removed } of vault.store.query(mementoQuery({ timeline, reason, removed: true }))) {
      const to = await leadsBackTo(vault, entry, removed);
      if (to !== null) jumps.push({ from: entry.sequence, to });
    }
  }
  const line: LineSegment[] = [];
  let high = sequence;
  for (const { from, to } of jumps.toSorted((a, b) => b.from - a.from)) {
    if (from > high) continue;
    line.push({ low: from, high });
    high = to;
  }
  if (high > 0) line.push({ low: 1, high });
  return line;
}

/** True when the memento is one of those that led to the other. */
export async function isOnLine(
  vault: Vault,
  head: Pick<MementoEntry, "timeline" | "sequence" | "generation">,
  entry: Pick<MementoEntry, "sequence" | "generation">,
): Promise<boolean> {
  if (entry.sequence > head.sequence) return false;
  // Whatever leaves something behind begins a new generation.
  return entry.generation === head.generation || holds(await lineOf(vault, head), entry.sequence);
}

/** True when a line has the memento with this number. */
export function holds(line: readonly LineSegment[], sequence: number): boolean {
  return line.some(({ low, high }) => low <= sequence && sequence <= high);
}

/** The newest memento that two lines share; 0 where they share none. */
export function lastShared(a: readonly LineSegment[], b: readonly LineSegment[]): number {
  const ends = a.flatMap((one) =>
    b.map((other) => {
      const high = Math.min(one.high, other.high);
      return high >= Math.max(one.low, other.low) ? high : 0;
    }),
  );
  return Math.max(0, ...ends);
}

/** The number of the memento from which this one goes on; null where that is the one before it. */
async function leadsBackTo(vault: Vault, entry: MementoEntry, removed: boolean): Promise<number | null> {
  const known = entry.metadata[GOES_ON_FROM];
  if (typeof known === "number") return known;
  const { target, from, lost, only } = await evidenceOf(vault, entry.id, removed);
  // A reset has undone what was before it; the mending of a damaged store that found nothing left has not.
  if (entry.reason === "reset") return lost === undefined ? 0 : null;
  // A rollback of some items alone goes on from the head.
  if (only !== undefined) return null;
  const back = target ?? from;
  return back === undefined || back === null ? null : (parseMementoId(back)?.sequence ?? null);
}

interface Evidence {
  readonly target?: string;
  /** What the mending of a damaged store went back to. */
  readonly from?: string | null;
  /** The head that was lost then. */
  readonly lost?: string;
  readonly only?: unknown;
}

async function evidenceOf(vault: Vault, id: string, removed: boolean): Promise<Evidence> {
  try {
    const { evidence = {} } = (await vault.load(id)).fields() as { readonly evidence?: Evidence };
    return evidence;
  } catch (error) {
    if (!isMementoError(error, "NOT_FOUND") && !isMementoError(error, "DAMAGED")) throw error;
    // Collected: nobody can tell any more where it went back to, or needs to, for its data cannot be gone back to either.
    if (removed || (await vault.store.read(id))?.removed !== false) return {};
    throw error;
  }
}

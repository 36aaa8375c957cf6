/** One position of a sink's history: a write, or a revert to an earlier position. */
export interface HistoryStep {
  readonly position: number;
  /** The position that a revert went back to; null for a write. */
  readonly back: number | null;
  /** False: something of somebody else's was left in the revert's way. */
  readonly complete: boolean;
}

/**
 * The steps that lie between `mark` and now, oldest first. Where a revert went back to a position from the mark on, and left
 * nothing in its way, all is again as it was there: what it undid, and its own undoing, are left out. `steps` are those
 * after the mark, in their order; null when one is missing.
 */
export function wayBack<Step extends HistoryStep>(steps: readonly Step[], mark: number, now: number): Step[] | null {
  const way: Step[] = [];
  let position = now;
  while (position > mark) {
    const step = steps[position - mark - 1];
    if (step?.position !== position) return null;
    if (step.back !== null && step.complete && step.back >= mark) position = step.back;
    else {
      way.push(step);
      position -= 1;
    }
  }
  return way.toReversed();
}

/** The writes that no revert has undone, newest first; `steps` are those after position `oldest`. */
export function writesInForce<Step extends HistoryStep>(steps: readonly Step[], oldest: number, now: number): Step[] {
  const writes: Step[] = [];
  let position = now;
  while (position > oldest) {
    const step = steps[position - oldest - 1];
    if (step !== undefined && step.back === null) writes.push(step);
    position = step?.back ?? position - 1;
  }
  return writes;
}

import { MementoError } from "../../core/errors.ts";
import type { SinkMark } from "./sink.ts";

/**
 * How many of the newest positions keep their tokens however much is trimmed. A repeat comes soon or never: what a run may write
 * once more comes after its head's mark, and no further than the oldest mark of a memento is trimmed.
 */
export const TOKEN_POSITIONS_KEPT = 32;

/** The mark of a position: null before the first write. */
export function markOf(position: number): SinkMark {
  return position === 0 ? null : { position };
}

/**
 * The position that a mark names. Throws INVALID_ARGUMENT for what is no mark, and NOT_REVERTIBLE for one that lies after
 * `latest`: the place is then not the one, or older than, what the mark was taken from.
 */
export function positionOf(mark: SinkMark, latest: number, place: string): number {
  if (mark === null) return 0;
  const position = typeof mark === "object" && "position" in mark ? mark["position"] : undefined;
  if (typeof position !== "number" || !Number.isSafeInteger(position) || position < 0) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${JSON.stringify(mark)} is not a mark of this sink: it takes { position }`,
    );
  }
  if (position <= latest) return position;
  throw new MementoError(
    "NOT_REVERTIBLE",
    `${place} stands at position ${latest} and has never been at ${position}: it is another one, or older than the memento`,
    { hint: "Bring back the data that belongs to the memento.", details: { position, latest } },
  );
}

/** Throws TRIMMED unless what is needed to go back to a position is still kept. */
export function demandKept(position: number, oldest: number, place: string): void {
  if (position >= oldest) return;
  const message = `The ${place} can go back to position ${oldest} at the earliest`;
  throw new MementoError("TRIMMED", message, { details: { oldest } });
}

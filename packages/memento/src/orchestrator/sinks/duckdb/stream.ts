import { MementoError } from "../../../core/errors.ts";
import type { DuckdbSession } from "./session.ts";
import type { Target } from "./target.ts";

/** Whose books are meant. */
export interface StreamAddress {
  readonly timeline: string;
  readonly sink: string;
}

/** What one sink of one timeline has done so far. */
export interface Stream {
  readonly id: number;
  readonly epoch: number;
  readonly position: number;
  /** The oldest position that can still be gone back to. */
  readonly oldest: number;
}

/** The books of `address`; null before its first write or fence. Throws INVALID_ARGUMENT where they are about another table or key. */
export async function findStream(
  session: DuckdbSession,
  address: StreamAddress,
  target: Target,
): Promise<Stream | null> {
  const row = await session.get(`SELECT * FROM ${session.books("streams")} WHERE timeline = $1 AND sink = $2`, [
    address.timeline,
    address.sink,
  ]);
  if (row === null) return null;
  const position = Number(row["position"]);
  const identity = identityText(target);
  if (position > 0 && (row["target"] !== target.label || row["identity"] !== identity)) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The sink ${address.sink} has written to table ${String(row["target"])} by ${String(row["identity"])}, and is now opened on ${target.label} by ${identity}`,
      { hint: "Give the sink another name in its pipeline, or the table and key that it had." },
    );
  }
  return { id: Number(row["id"]), epoch: Number(row["epoch"]), position, oldest: Number(row["oldest"]) };
}

/**
 * The books of `address`, made where there are none and raised to `epoch`; for a write transaction. Throws FENCED when a
 * higher epoch was here.
 */
export async function admit(
  session: DuckdbSession,
  address: StreamAddress,
  target: Target,
  epoch: number,
): Promise<Stream> {
  const found = await findStream(session, address, target);
  if (found !== null && epoch < found.epoch) {
    throw new MementoError(
      "FENCED",
      `${session.path}: the sink ${address.sink} is held with epoch ${found.epoch}, and epoch ${epoch} was offered`,
      { details: { epoch: found.epoch, offered: epoch } },
    );
  }
  if (found !== null && found.epoch === epoch && found.position > 0) return found;
  const facts = [target.label, identityText(target), epoch];
  const streams = session.books("streams");
  if (found === null) {
    await session.run(
      `INSERT INTO ${streams} SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, 0, 0 FROM ${streams}`,
      [address.timeline, address.sink, ...facts],
    );
  } else {
    await session.run(`UPDATE ${streams} SET target = $1, identity = $2, epoch = $3 WHERE id = $4`, [
      ...facts,
      found.id,
    ]);
  }
  const made = await findStream(session, address, target);
  if (made === null) throw new Error("A row that was just written is not there");
  return made;
}

/** Moves the stream on to `position`. */
export async function moveTo(session: DuckdbSession, stream: Stream, position: number): Promise<void> {
  await session.run(`UPDATE ${session.books("streams")} SET position = $1 WHERE id = $2`, [position, stream.id]);
}

/** By what the target's rows are found, as the books keep it. */
export function identityText(target: Target): string {
  return JSON.stringify(target.key.map(({ name }) => name));
}

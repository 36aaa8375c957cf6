import { MementoError } from "../../../core/errors.ts";
import { numberOf } from "../../../store/sql/rows.ts";
import { firstRow } from "./session.ts";
import { identityText } from "./target.ts";
import type { Workspace } from "./workspace.ts";

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

/** The books of `address`; null before its first write or fence. INVALID_ARGUMENT where they are about another table or key. */
export async function findStream(
  { session, dialect, target }: Workspace,
  { timeline, sink }: StreamAddress,
  lock: "" | " FOR UPDATE" = "",
): Promise<Stream | null> {
  const row = await firstRow(
    session,
    `SELECT id, target, identity, epoch, position, oldest FROM ${dialect.books("streams")}
      WHERE timeline = ? AND sink = ?${lock}`,
    timeline,
    sink,
  );
  if (row === undefined) return null;
  const position = numberOf(row, "position");
  const identity = identityText(target);
  if (position > 0 && (row["target"] !== target.name || row["identity"] !== identity)) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The sink ${sink} has written to table ${String(row["target"])} by ${String(row["identity"])}, and is now opened on ${target.name} by ${identity}`,
      { hint: "Give the sink another name in its pipeline, or the table and key that it had." },
    );
  }
  return { id: numberOf(row, "id"), epoch: numberOf(row, "epoch"), position, oldest: numberOf(row, "oldest") };
}

/**
 * The books of `address`, locked until the transaction ends, made where there are none and raised to `epoch`. FENCED when a
 * higher epoch was here, LOCKED when somebody else keeps the lock.
 */
export async function admit(work: Workspace, address: StreamAddress, epoch: number): Promise<Stream> {
  const { session, dialect, target } = work;
  let found = await findStream(work, address, " FOR UPDATE");
  if (found === null) {
    await session.run(
      dialect.insertOrNothing(
        `${dialect.books("streams")} (timeline, sink, target, identity, epoch, position, oldest) VALUES (?, ?, ?, ?, 0, 0, 0)`,
      ),
      address.timeline,
      address.sink,
      target.name,
      identityText(target),
    );
    found = await findStream(work, address, " FOR UPDATE");
  }
  if (found === null) throw new Error("A row that was just written is not there");
  if (epoch < found.epoch) {
    throw new MementoError(
      "FENCED",
      `The sink ${address.sink} into ${target.name} is held with epoch ${found.epoch}, and epoch ${epoch} was offered`,
      { details: { epoch: found.epoch, offered: epoch } },
    );
  }
  if (found.epoch === epoch && found.position > 0) return found;
  await session.run(
    `UPDATE ${dialect.books("streams")} SET epoch = ${epoch}, target = ?, identity = ? WHERE id = ${found.id}`,
    target.name,
    identityText(target),
  );
  return { ...found, epoch };
}

/** Moves the stream on to `position`. */
export async function moveTo({ session, dialect }: Workspace, stream: Stream, position: number): Promise<void> {
  await session.run(`UPDATE ${dialect.books("streams")} SET position = ${position} WHERE id = ${stream.id}`);
}

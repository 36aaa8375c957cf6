import { MementoError } from "../../../core/errors.ts";
import type { SinkDatabase } from "./database.ts";
import { hasBooks } from "./schema.ts";
import type { Target } from "./target.ts";

/** Whose books are meant, and which table they are about. */
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
export function findStream(database: SinkDatabase, address: StreamAddress, target: Target): Stream | null {
  if (!hasBooks(database)) return null;
  const row = database
    .prepare("SELECT * FROM main.memento_sink_streams WHERE timeline = ? AND sink = ?")
    .get(address.timeline, address.sink);
  if (row === undefined) return null;
  const position = Number(row["position"]);
  const identity = identityText(target);
  if (position > 0 && (row["target"] !== target.table || row["identity"] !== identity)) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The sink ${address.sink} has written to table ${String(row["target"])} by ${String(row["identity"])}, and is now opened on ${target.table} by ${identity}`,
      { hint: "Give the sink another name in its pipeline, or the table and key that it had." },
    );
  }
  return { id: Number(row["id"]), epoch: Number(row["epoch"]), position, oldest: Number(row["oldest"]) };
}

/**
 * The books of `address`, made where there are none and raised to `epoch`; for a write transaction. Throws FENCED when a
 * higher epoch was here.
 */
export function admit(database: SinkDatabase, address: StreamAddress, target: Target, epoch: number): Stream {
  const found = findStream(database, address, target);
  if (found !== null && epoch < found.epoch) {
    throw new MementoError(
      "FENCED",
      `${database.path}: the sink ${address.sink} is held with epoch ${found.epoch}, and epoch ${epoch} was offered`,
      { details: { epoch: found.epoch, offered: epoch } },
    );
  }
  if (found !== null && found.epoch === epoch && found.position > 0) return found;
  database
    .prepare(
      `INSERT INTO main.memento_sink_streams (timeline, sink, target, identity, epoch, position, oldest)
       VALUES (?, ?, ?, ?, ?, 0, 0)
       ON CONFLICT (timeline, sink) DO UPDATE SET target = excluded.target, identity = excluded.identity, epoch = excluded.epoch`,
    )
    .run(address.timeline, address.sink, target.table, identityText(target), epoch);
  const made = findStream(database, address, target);
  if (made === null) throw new Error("A row that was just written is not there");
  return made;
}

/** Moves the stream on to `position`. */
export function moveTo(database: SinkDatabase, stream: Stream, position: number): void {
  database.prepare("UPDATE main.memento_sink_streams SET position = ? WHERE id = ?").run(position, stream.id);
}

function identityText(target: Target): string {
  const { identity } = target;
  return identity.kind === "rowid" ? "rowid" : JSON.stringify(identity.columns.map(({ name }) => name));
}

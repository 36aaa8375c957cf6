import { MementoError } from "../../../core/errors.ts";
import type { BookAccess, StreamDocument } from "./books.ts";
import type { CollectionConnection } from "./connection.ts";

/** What the sink has done so far; null before its first write or fence. INVALID_ARGUMENT where that was in another collection, or by another key. */
export async function findStream(connection: CollectionConnection, access: BookAccess): Promise<StreamDocument | null> {
  const { books, stream, identity, context, where } = connection;
  const found = await books.streams.findOne({ _id: stream }, { ...access });
  if (found === null) return null;
  const { position, target, identity: before } = found;
  if (position === 0 || (target === identity.collection && before === identity.text)) return found;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${where}: the sink ${context.name} has written to collection ${target} by ${before}, and is now opened on ${identity.collection} by ${identity.text}`,
    { hint: "Give the sink another name in its pipeline, or the collection and key that it had." },
  );
}

/** The sink's record raised to `epoch`, or a first one; FENCED when a higher epoch was here. */
export async function admit(
  connection: CollectionConnection,
  epoch: number,
  access: BookAccess,
): Promise<StreamDocument> {
  const found = await findStream(connection, access);
  demand(connection, found, epoch);
  const { stream, context, identity } = connection;
  return {
    ...(found ?? { _id: stream, timeline: context.timeline, sink: context.name, position: 0, oldest: 0 }),
    target: identity.collection,
    identity: identity.text,
    epoch,
  };
}

/** FENCED when a higher epoch than this was here. */
export async function demandEpoch(connection: CollectionConnection, epoch: number, access: BookAccess): Promise<void> {
  demand(connection, await findStream(connection, access), epoch);
}

function demand({ where, context }: CollectionConnection, found: StreamDocument | null, epoch: number): void {
  if (found === null || epoch >= found.epoch) return;
  throw new MementoError(
    "FENCED",
    `${where}: the sink ${context.name} is held with epoch ${found.epoch}, and epoch ${epoch} was offered`,
    { details: { epoch: found.epoch, offered: epoch } },
  );
}

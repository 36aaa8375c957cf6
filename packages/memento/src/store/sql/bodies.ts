import { bytesOf, damagedRow, nullable, textOf } from "../columns.ts";
import type { Row } from "./rows.ts";
import type { SqlSession } from "./session.ts";

/** How a body is written: whole beside its header, or in parts under an id of its own. */
export interface PlacedBody {
  readonly body: Uint8Array | null;
  readonly bodyId: string | null;
}

/**
 * Writes the parts of a body that is too large for one value, inside the caller's transaction, before anything is locked.
 * A smaller one is left to the statement that writes its commit.
 */
export async function placeBody(
  session: SqlSession,
  body: Uint8Array | null,
  partBytesMax: number,
  newBodyId: () => string,
): Promise<PlacedBody> {
  if (body === null || body.byteLength <= partBytesMax) return { body, bodyId: null };
  const bodyId = newBodyId();
  for (let number = 0; number * partBytesMax < body.byteLength; number++) {
    const content = body.subarray(number * partBytesMax, (number + 1) * partBytesMax);
    await session.run(session.statements.insertPart, bodyId, number, content);
  }
  return { body: null, bodyId };
}

/** The body of a commit's row that has the columns `body` and `body_id`; DAMAGED where nothing is left of its parts. */
export async function bodyOf(session: SqlSession, row: Row): Promise<Uint8Array | null> {
  const bodyId = nullable(row, "body_id", textOf);
  if (bodyId === null) return nullable(row, "body", bytesOf);
  const body = await partsOf(session, bodyId);
  if (body === null) throw damagedRow(`The parts of body ${bodyId} are missing`);
  return body;
}

/** The parts of a body up to the first one that is missing; null when there is none at all. */
export async function partsOf(session: SqlSession, bodyId: string): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const part = await session.get(session.statements.part, bodyId, parts.length);
    if (part === undefined) return parts.length === 0 ? null : Buffer.concat(parts);
    parts.push(bytesOf(part, "content"));
  }
}

/** Takes back the parts of a body that no commit came to hold. */
export async function discardBody(session: SqlSession, { bodyId }: PlacedBody): Promise<void> {
  if (bodyId !== null) await session.run(session.statements.dropParts, bodyId);
}

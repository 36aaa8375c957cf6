import { findAll, findMementos } from "./changes.ts";
import type { Contents, ContentWants } from "./contents.ts";
import { commitOf, mementoKey, timelineKey, type LogDocument } from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/**
 * Deletes chunks that nothing names and nothing will: their writer died before its commit, or after another one had taken
 * what they were replaced by. No clock is asked. Gives the bytes.
 */
export async function sweepContents(access: StoreAccess, contents: Contents): Promise<number> {
  let freed = 0;
  let last = { name: "", orphan: false };
  for await (const { id, name, wants } of contents.all()) {
    if (last.name !== name) last = { name, orphan: await isOrphan(access, name, wants) };
    if (last.orphan) freed += await contents.discardChunk(id);
  }
  return freed;
}

async function isOrphan(access: StoreAccess, name: string, wants: ContentWants): Promise<boolean> {
  if ("commit" in wants) {
    const { commit, expectedDigest } = wants;
    const log = (await findAll(access, [commit], { effects: 0 })).get(commit) as LogDocument | undefined;
    if (log === undefined || names(log, name)) return false;
    // It could replace any pack, at any time.
    if (expectedDigest === null) return false;
    return log.digest !== expectedDigest || log.body === null;
  }
  // Of a large notice nobody can tell whether its writer is still at work.
  if (wants.places.length === 0) return false;
  const rows = await findMementos(
    access,
    wants.places.map(({ id }) => id),
  );
  const [row] = rows;
  if (row !== undefined) {
    const commit = commitOf(row.order);
    const log = (await findAll(access, [commit], { effects: 0 })).get(commit) as LogDocument | undefined;
    return log !== undefined && !names(log, name);
  }
  // Each place it was for has been taken by another memento, so none of it can ever be appended.
  const taken = await findAll(
    access,
    wants.places.map(({ timeline, sequence }) => mementoKey(timeline, sequence)),
    { _id: 1 },
  );
  if (taken.size === wants.places.length) return true;
  const timelines = await findAll(
    access,
    wants.places.map(({ timeline }) => timelineKey(timeline)),
    { _id: 1 },
  );
  return timelines.size === 0;
}

function names({ header, body }: LogDocument, name: string): boolean {
  return [header, body].some((stowed) => stowed !== null && "chunks" in stowed && stowed.chunks === name);
}

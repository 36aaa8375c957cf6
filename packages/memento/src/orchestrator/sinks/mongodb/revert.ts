import { MementoError } from "../../../core/errors.ts";
import type { ForeignChange } from "../sink.ts";
import type { BookAccess } from "./books.ts";
import { type HeldDocument, withId } from "./documents.ts";
import { FreeIds } from "./free-ids.ts";
import { isObjectId } from "./id-filters.ts";
import type { Identity } from "./identity.ts";
import { findDocuments, ImageReader, isChange, type Move, type Net, type NetSource } from "./net.ts";
import { type Change, inParts } from "./operation.ts";

const FOREIGN_NAMED_MAX = 100;
const MOVES_AT_ONCE = 5_000;

/** What going back does, before it is done. */
export interface CollectedMoves {
  /** Those that change something, in the order of the images that they need. */
  readonly moves: readonly Move[];
  /** The first 100. */
  readonly foreign: readonly ForeignChange[];
  readonly foreignTotal: number;
}

/** Reads a net's moves. */
export async function collectMoves(net: Net, identity: Identity, force: boolean): Promise<CollectedMoves> {
  const moves: Move[] = [];
  const foreign: ForeignChange[] = [];
  let foreignTotal = 0;
  for await (const move of net.moves(force)) {
    if (isChange(move)) moves.push(move);
    if (move.alien === null) continue;
    foreignTotal += 1;
    if (foreign.length < FOREIGN_NAMED_MAX) foreign.push({ item: identity.name(move.key), change: move.alien });
  }
  moves.sort((a, b) => compare(a.goal?.part ?? "", b.goal?.part ?? ""));
  return { moves, foreign, foreignTotal };
}

/** How many documents the moves take out, and how many they put back. */
export function countMoves(moves: readonly Move[]): { readonly removed: number; readonly restored: number } {
  const changes = moves.filter(isChange);
  const restored = changes.filter(({ goal }) => goal !== null).length;
  return { removed: changes.length - restored, restored };
}

/**
 * The changes that the moves are: from the documents as they stand now to their images. They may be gone through twice, the first
 * time before any of them is made: an image whose `_id` another document has by then gets another one, if it is one that was drawn.
 */
export function changesBack(
  source: NetSource,
  moves: readonly Move[],
  access: BookAccess,
): () => AsyncGenerator<Change> {
  const { bson, identity } = source;
  const leaving = moves.filter(({ goal }) => goal === null).map(({ key }) => identity.keyText(key) ?? "");
  const free = identity.isId ? null : new FreeIds(source, new Set(leaving));
  const ids = new Map<string, unknown>();
  let settled = free === null;
  return async function* changes() {
    for await (const part of inParts(imagesBack(source, moves, access))) {
      if (!settled) for (const [text, { id }] of await movedIds(free, part, source, access)) ids.set(text, id);
      for (const change of part) {
        const text = identity.keyText(change.key) ?? "";
        const { after } = change;
        yield after === null || !ids.has(text) ? change : { ...change, after: withId(bson, after, ids.get(text)) };
      }
    }
    settled = true;
  };
}

async function movedIds(
  free: FreeIds | null,
  part: readonly Change[],
  { identity }: NetSource,
  access: BookAccess,
): Promise<Map<string, HeldDocument>> {
  const incoming = part.flatMap(({ key, before, after }) => {
    const comes = after !== null && !(before !== null && identity.sameId(before.id, after.id));
    return comes ? [{ key, document: after }] : [];
  });
  if (free === null || incoming.length === 0) return new Map();
  return await free.settle(incoming, access, ({ key, document }, holder) => {
    if (isObjectId(document.id)) return null;
    const message = `${identity.name(key)} cannot come back: its _id is that of another document, ${holder}`;
    return new MementoError("NOT_REVERTIBLE", message, { details: { item: identity.name(key) } });
  });
}

async function* imagesBack(source: NetSource, moves: readonly Move[], access: BookAccess): AsyncGenerator<Change> {
  const images = new ImageReader(source, access);
  const { identity } = source;
  for (let start = 0; start < moves.length; start += MOVES_AT_ONCE) {
    const slice = moves.slice(start, start + MOVES_AT_ONCE);
    const there = slice.filter(({ now }) => now !== null).map(({ key }) => key);
    const found = await findDocuments(source, there, access);
    for (const { key, goal } of slice) {
      const before = found.get(identity.keyText(key) ?? "") ?? null;
      yield { key, before, after: goal === null ? null : await images.read(goal), row: null };
    }
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

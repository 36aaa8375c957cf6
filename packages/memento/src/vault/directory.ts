import { sha256 } from "../core/digest.ts";
import { canonicalJson } from "../core/json.ts";
import type { PieceEncoding } from "./codec.ts";

/** Where a piece's bytes are. */
export interface PieceRef {
  /** The memento whose record holds the bytes. */
  readonly holder: string;
  /** SHA-256 of the encoded piece. */
  readonly digest: string;
  readonly bytes: number;
  readonly encoding: PieceEncoding;
}

/** What one record says of its directory: the pieces that changed since `base`, null for a dropped one. */
export interface DirectoryLayer {
  readonly id: string;
  /** 1 for the first memento of a line of descent; grows by one each. */
  readonly depth: number;
  readonly changes: ReadonlyMap<string, PieceRef | null>;
}

/** Directories up to this size are written in full each time; it costs less than the way back. */
const FULL_PIECES_MAX = 12;

/**
 * Which pieces a memento has, and where each one is held, as a stack of layers.
 *
 * A record of depth `d` lists what changed since the record of depth `d - lowbit(d)` (a skip list in the manner of a
 * Fenwick tree), so a save writes O(log n) references, amortised, and a load reads O(log n) records, however many
 * mementos came before. Immutable: `next` gives the directory of the following memento.
 */
export class PieceDirectory {
  static readonly empty: PieceDirectory = new PieceDirectory([], new Map(), 0);

  /** Oldest first; each layer's base is the layer before it. */
  readonly layers: readonly DirectoryLayer[];
  readonly #pieces: Map<string, PieceRef>;
  readonly #logicalBytes: number;

  private constructor(layers: readonly DirectoryLayer[], pieces: Map<string, PieceRef>, logicalBytes: number) {
    this.layers = layers;
    this.#pieces = pieces;
    this.#logicalBytes = logicalBytes;
  }

  /** Builds a directory from layers, oldest first. */
  static fromLayers(layers: readonly DirectoryLayer[]): PieceDirectory {
    const pieces = new Map<string, PieceRef>();
    let bytes = 0;
    for (const layer of layers) bytes += applyChanges(pieces, layer.changes);
    return new PieceDirectory(layers, pieces, bytes);
  }

  /** The depth of the memento that this directory belongs to; 0 for the empty one. */
  get depth(): number {
    return this.layers.at(-1)?.depth ?? 0;
  }

  get size(): number {
    return this.#pieces.size;
  }

  /** Encoded bytes of all pieces together. */
  get logicalBytes(): number {
    return this.#logicalBytes;
  }

  get(key: string): PieceRef | undefined {
    return this.#pieces.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#pieces.keys();
  }

  entries(): IterableIterator<[string, PieceRef]> {
    return this.#pieces.entries();
  }

  /** SHA-256 over every piece by key, encoding and digest: equal content has an equal one, wherever and whenever it was saved. */
  contentDigest(): string {
    const pieces = [...this.#pieces].map(([key, ref]) => [key, ref.encoding, ref.digest]);
    return sha256(canonicalJson(pieces.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1))));
  }

  /** The bytes that the whole will have after these changes. */
  logicalBytesAfter(changes: ReadonlyMap<string, PieceRef | null>): number {
    let bytes = this.#logicalBytes;
    for (const [key, ref] of changes) bytes += (ref?.bytes ?? 0) - (this.#pieces.get(key)?.bytes ?? 0);
    return bytes;
  }

  /** The layer that a following memento writes when these pieces change, and the memento it builds on (null: on nothing). */
  plan(
    id: string,
    changes: ReadonlyMap<string, PieceRef | null>,
  ): { readonly layer: DirectoryLayer; readonly base: string | null } {
    const depth = this.depth + 1;
    if (this.#pieces.size + changes.size <= FULL_PIECES_MAX) {
      const all = new Map<string, PieceRef | null>(this.#pieces);
      for (const [key, ref] of changes) {
        if (ref === null) all.delete(key);
        else all.set(key, ref);
      }
      return { layer: { id, depth, changes: all }, base: null };
    }
    const baseDepth = depth - (depth & -depth);
    const kept = this.layers.filter((layer) => layer.depth <= baseDepth);
    const merged = new Map<string, PieceRef | null>();
    for (const layer of this.layers.slice(kept.length)) for (const [key, ref] of layer.changes) merged.set(key, ref);
    for (const [key, ref] of changes) merged.set(key, ref);
    return { layer: { id, depth, changes: merged }, base: kept.at(-1)?.id ?? null };
  }

  /** The directory after a planned layer. Takes this directory's map over: use only the result afterwards. */
  next(layer: DirectoryLayer, base: string | null, changes: ReadonlyMap<string, PieceRef | null>): PieceDirectory {
    const kept = base === null ? [] : this.layers.slice(0, this.layers.findIndex(({ id }) => id === base) + 1);
    const bytes = this.#logicalBytes + applyChanges(this.#pieces, changes);
    return new PieceDirectory([...kept, layer], this.#pieces, bytes);
  }

  /** A directory of its own that the other's `next` does not touch. */
  copy(): PieceDirectory {
    return new PieceDirectory(this.layers, new Map(this.#pieces), this.#logicalBytes);
  }
}

/** Applies changes in place; returns by how many bytes the whole grew. */
function applyChanges(pieces: Map<string, PieceRef>, changes: ReadonlyMap<string, PieceRef | null>): number {
  let growth = 0;
  for (const [key, ref] of changes) {
    growth += (ref?.bytes ?? 0) - (pieces.get(key)?.bytes ?? 0);
    if (ref === null) pieces.delete(key);
    else pieces.set(key, ref);
  }
  return growth;
}

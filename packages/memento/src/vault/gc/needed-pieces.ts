import { MementoError } from "../../core/errors.ts";
import { FIELDS_PIECE } from "../record.ts";
import type { RecordGraph } from "./record-graph.ts";

/**
 * What mementos need of records, piece by piece: of each record its manifest, and those pieces that somebody needs. A piece
 * that an upper list of pieces replaces is not needed on behalf of a lower one, so that old contents do become free.
 */
export class NeededPieces {
  readonly #graph: RecordGraph;
  readonly #pieces = new Map<string, Set<string>>();
  readonly #roots = new Set<string>();
  /** Pieces that belong to a root, by record: their contents are wanted whole. */
  readonly #wanted = new Map<string, Set<string>>();
  /** Records whose delta of a key is made from this record's piece, by record and key. */
  readonly #builtOn = new Map<string, string[]>();

  constructor(graph: RecordGraph) {
    this.#graph = graph;
  }

  /** True when at least the record's manifest is needed. */
  has(id: string): boolean {
    return this.#pieces.has(id);
  }

  /** True when the memento is wanted for itself, not only for what others need of it. */
  isRoot(id: string): boolean {
    return this.#roots.has(id);
  }

  /** The keys of the record's pieces that are needed; empty when at most its manifest is. */
  of(id: string): ReadonlySet<string> {
    return this.#pieces.get(id) ?? new Set();
  }

  /** True when a root has this very piece; false when at most deltas of others need it. */
  isWanted(id: string, key: string): boolean {
    return this.#wanted.get(id)?.has(key) ?? false;
  }

  /** True when the record holds a delta for this key. */
  isDelta(id: string, key: string): boolean {
    return this.#graph.record(id)?.deltas.has(key) ?? false;
  }

  /** The records whose needed deltas are made from this piece. */
  builtOn(id: string, key: string): readonly string[] {
    return this.#builtOn.get(pieceName(id, key)) ?? [];
  }

  /** Marks all that it takes to load a memento. DAMAGED, naming both, when a record that it needs is not there or cannot be opened. */
  addRoot(root: string): void {
    if (this.#roots.has(root)) return;
    this.#roots.add(root);
    const said = new Set<string>();
    for (let id: string | null = root; id !== null;) {
      const facts = this.#facts(id, root);
      this.#record(id);
      for (const key of facts.keys) {
        if (said.has(key)) continue;
        said.add(key);
        const holder = facts.held.has(key) ? id : facts.elsewhere.get(key);
        if (holder !== undefined) this.#addPiece(holder, key, root);
      }
      id = facts.base;
    }
    if (this.#facts(root, root).held.has(FIELDS_PIECE)) this.#addPiece(root, FIELDS_PIECE, root);
  }

  #addPiece(holder: string, key: string, root: string): void {
    this.#want(holder, key);
    for (let id: string | undefined = holder; id !== undefined;) {
      const keys = this.#record(id);
      if (keys.has(key)) return;
      keys.add(key);
      const base: string | undefined = this.#facts(id, root).deltas.get(key);
      if (base !== undefined) this.#builtOn.set(pieceName(base, key), [...this.builtOn(base, key), id]);
      id = base;
    }
  }

  #want(id: string, key: string): void {
    const known = this.#wanted.get(id);
    if (known === undefined) this.#wanted.set(id, new Set([key]));
    else known.add(key);
  }

  #record(id: string): Set<string> {
    const known = this.#pieces.get(id);
    if (known !== undefined) return known;
    const keys = new Set<string>();
    this.#pieces.set(id, keys);
    return keys;
  }

  #facts(id: string, root: string): NonNullable<ReturnType<RecordGraph["record"]>> {
    const facts = this.#graph.record(id);
    if (facts !== undefined) return facts;
    const why =
      id === root
        ? "its record is not there or cannot be opened"
        : `it needs ${id}, which is not there or cannot be opened`;
    throw new MementoError("DAMAGED", `Nothing was freed, because memento ${root} is damaged: ${why}`, {
      details: { id: root, needs: id },
    });
  }
}

const pieceName = (id: string, key: string): string => `${id} ${key}`;

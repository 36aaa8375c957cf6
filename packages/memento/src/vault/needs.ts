import type { MementoManifest } from "./record.ts";

/** Something that a record needs of another one. */
export interface RecordNeed {
  /** The memento whose record must stay readable. */
  readonly holder: string;
  /** The piece that it must hold; null when only its manifest is needed. */
  readonly key: string | null;
  /** SHA-256 of that piece's content; null where the record does not say (the base of a delta: what it makes is checked instead). */
  readonly digest: string | null;
}

/**
 * What a record needs besides itself to be loaded: the record that its list of pieces builds on, the holders of its
 * pieces, and the bases of the delta pieces that it holds. What those need in their turn is theirs to say: whoever keeps or moves a memento follows this to its end.
 */
export function directNeeds(id: string, manifest: MementoManifest): readonly RecordNeed[] {
  const base: RecordNeed[] = manifest.base === null ? [] : [{ holder: manifest.base, key: null, digest: null }];
  const pieces = [...manifest.layer.changes].flatMap(([key, ref]): RecordNeed[] =>
    ref === null || ref.holder === id ? [] : [{ holder: ref.holder, key, digest: ref.digest }],
  );
  const deltas = [...manifest.held].flatMap(([key, place]): RecordNeed[] =>
    place.base === null ? [] : [{ holder: place.base.holder, key, digest: null }],
  );
  return [...base, ...pieces, ...deltas];
}

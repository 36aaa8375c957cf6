import type { MementoManifest } from "./record.ts";

/** Something that a record needs of another one. */
export interface RecordNeed {
  /** The memento whose record must stay readable. */
  readonly holder: string;
  /** The piece that it must hold; null when only its manifest is needed. */
  readonly key: string | null;
  /** SHA-256 of that piece's content; null with `key`. */
  readonly digest: string | null;
}

/**
 * What a record needs besides itself to be loaded: the record that its list of pieces builds on, and the holders of its
 * pieces. What those need in their turn is theirs to say: whoever keeps or moves a memento follows this to its end.
 */
export function directNeeds(id: string, manifest: MementoManifest): readonly RecordNeed[] {
  const base: RecordNeed[] = manifest.base === null ? [] : [{ holder: manifest.base, key: null, digest: null }];
  const pieces = [...manifest.layer.changes].flatMap(([key, ref]): RecordNeed[] =>
    ref === null || ref.holder === id ? [] : [{ holder: ref.holder, key, digest: ref.digest }],
  );
  return [...base, ...pieces];
}

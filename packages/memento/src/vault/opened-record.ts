import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { HeldPlace, MementoManifest } from "./record.ts";

/** A record whose seal was checked: its clear entry, its manifest, and a way to its own pieces. */
export interface OpenedRecord {
  readonly entry: MementoEntry;
  readonly manifest: MementoManifest;
  readonly removed: boolean;
  /** Where a piece is that this record holds. DAMAGED when it holds none of this key. */
  place(key: string): HeldPlace;
  /** The bytes that it holds of a piece: its content, or a delta. Whether they are right is for a digest to say. */
  held(key: string): Uint8Array;
  /** The same, for who has something else to do meanwhile: what is large may be opened by another thread. */
  heldSoon(key: string): Promise<Uint8Array>;
}

/** The sections of a record's pack; in the first one, what stands behind the manifests. */
export interface RecordSections {
  section(index: number): Uint8Array | undefined;
  sectionSoon(index: number): Promise<Uint8Array | undefined>;
}

/** A record of a pack that was opened. */
export function recordIn(
  sections: RecordSections,
  entry: MementoEntry,
  manifest: MementoManifest,
  removed: boolean,
): OpenedRecord {
  const damaged = (message: string): MementoError =>
    new MementoError("DAMAGED", message, { details: { id: entry.id } });
  const place = (key: string): HeldPlace => {
    const found = manifest.held.get(key);
    if (found !== undefined) return found;
    throw damaged(`memento ${entry.id} should hold the piece ${key} and does not`);
  };
  const cut = (section: Uint8Array | undefined, key: string): Uint8Array => {
    const { offset, bytes } = place(key);
    const held = section?.subarray(offset, offset + bytes);
    if (held?.length === bytes) return held;
    throw damaged(`The piece ${key} of memento ${entry.id} is cut`);
  };
  return {
    entry,
    manifest,
    removed,
    place,
    held: (key) => cut(sections.section(place(key).section), key),
    heldSoon: async (key) => cut(await sections.sectionSoon(place(key).section), key),
  };
}

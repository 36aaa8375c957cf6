import { sha256 } from "../core/digest.ts";
import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import { entryText } from "../store/entry-text.ts";
import type { PieceEncoding } from "./codec.ts";
import type { CompressedSection } from "./compression.ts";
import type { DirectoryLayer, PieceRef } from "./directory.ts";

/** The piece in which a memento's sealed small fields are kept; always its own, never shared. */
export const FIELDS_PIECE = "@fields";

/** What a delta piece is to be applied to. */
export interface DeltaBase {
  /** The memento whose record holds the same key's piece, itself whole or a delta. */
  readonly holder: string;
  /** How many versions of the piece came since the last one that was held whole; this one counts. */
  readonly step: number;
}

/** A piece that a record holds itself. */
export interface HeldPiece {
  readonly key: string;
  readonly encoding: PieceEncoding;
  /** What is held: the content itself, or the delta that makes it. */
  readonly bytes: Uint8Array;
  readonly contentBytes: number;
  /** SHA-256 of the content. */
  readonly digest: string;
  /** null: held whole. */
  readonly base: DeltaBase | null;
  /** The bytes as a section of their own, which another thread began to compress as soon as it was clear that they are held. */
  readonly section: Promise<CompressedSection> | null;
}

/** A record as it is read: which pieces it holds and where, and its layer of the directory. */
export interface MementoManifest {
  /** Digest of the memento before it on its line of descent; null for the first. Chains the history. */
  readonly parentDigest: string | null;
  readonly base: string | null;
  readonly layer: DirectoryLayer;
  readonly held: ReadonlyMap<string, HeldPlace>;
  /** SHA-256 over the clear entry and this manifest, and so over every piece by its digest. */
  readonly digest: string;
}

/** Where a held piece's bytes are inside the opened pack. */
export interface HeldPlace {
  readonly section: number;
  readonly offset: number;
  /** Bytes that are held: of the content, or of the delta. */
  readonly bytes: number;
  readonly contentBytes: number;
  /** SHA-256 of the content. */
  readonly digest: string;
  readonly encoding: PieceEncoding;
  readonly base: DeltaBase | null;
}

type WholePlace = [string, PieceEncoding, number, string, number, number];

// JSON with short keys: manifests are most of a small record. Layout in docs/format.md.
interface ManifestJson {
  readonly p: string | null;
  readonly n: number;
  readonly b: string | null;
  /** Held pieces: key, encoding, bytes, digest, section, offset; of a delta also its own bytes, its base's holder, and its step. */
  readonly h: readonly (WholePlace | [...WholePlace, number, string, number])[];
  /** Pieces held elsewhere that changed since the base: key, then null when dropped, or holder, encoding, bytes, digest. */
  readonly d: readonly ([string, null] | [string, string, PieceEncoding, number, string])[];
}

/** A piece with the place that the pack gave it. */
export interface PlacedPiece extends Omit<HeldPiece, "section"> {
  readonly section: number;
  readonly offset: number;
}

/** A record's manifest, as the text that is stored in UTF-8. */
export function manifestText(
  parentDigest: string | null,
  base: string | null,
  layer: DirectoryLayer,
  held: readonly PlacedPiece[],
): string {
  const elsewhere: ManifestJson["d"][number][] = [];
  for (const [key, ref] of layer.changes) {
    if (ref?.holder === layer.id) continue;
    elsewhere.push(ref === null ? [key, null] : [key, ref.holder, ref.encoding, ref.bytes, ref.digest]);
  }
  const manifest: ManifestJson = {
    p: parentDigest,
    n: layer.depth,
    b: base,
    h: held.map(({ key, encoding, bytes, contentBytes, digest, section, offset, base: deltaBase }) => {
      const place: WholePlace = [key, encoding, contentBytes, digest, section, offset];
      return deltaBase === null ? place : [...place, bytes.length, deltaBase.holder, deltaBase.step];
    }),
    d: elsewhere,
  };
  return JSON.stringify(manifest);
}

/** Reads a record's manifest; the seal has been checked, so what does not read was written by a broken or newer writer. */
export function decodeManifest(bytes: Uint8Array, entry: MementoEntry): MementoManifest {
  const { id } = entry;
  let json: ManifestJson;
  try {
    json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")) as ManifestJson;
  } catch (cause) {
    throw new MementoError("DAMAGED", `The manifest of ${id} does not decode`, { cause });
  }
  const held = new Map<string, HeldPlace>();
  const changes = new Map<string, PieceRef | null>();
  for (const [key, encoding, length, digest, section, offset, heldBytes = length, holder, step = 0] of json.h) {
    const deltaBase = holder === undefined ? null : { holder, step };
    held.set(key, { section, offset, bytes: heldBytes, contentBytes: length, digest, encoding, base: deltaBase });
    if (key !== FIELDS_PIECE) changes.set(key, { holder: id, digest, bytes: length, encoding });
  }
  for (const [key, holder, encoding, length, digest] of json.d) {
    const known = holder !== null && encoding !== undefined && length !== undefined && digest !== undefined;
    changes.set(key, known ? { holder, digest, bytes: length, encoding } : null);
  }
  let digest: string | undefined;
  return {
    parentDigest: json.p,
    base: json.b,
    layer: { id, depth: json.n, changes },
    held,
    // Most records are opened for a piece of theirs, and nobody asks for their digest.
    get digest() {
      return (digest ??= recordDigest(entryText(entry), bytes));
    },
  };
}

/** A memento's digest: over its clear entry as stored, and its manifest. */
export function recordDigest(entry: string, manifest: Uint8Array | string): string {
  if (typeof manifest === "string") return sha256(`${entry}\n${manifest}`);
  return sha256(Buffer.concat([Buffer.from(entry, "utf8"), Buffer.from("\n"), manifest]));
}

/** Records out of packs, by the sections on packs, manifests and deltas of docs/format.md alone. */
import { createHash } from "node:crypto";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

import type { Piece } from "./piece-decoder.ts";

type Held = readonly [string, string, number, string, number, number, number?, string?, number?];
type Elsewhere = readonly [string, string | null, string?, number?, string?];

interface Manifest {
  readonly p: string | null;
  readonly n: number;
  readonly b: string | null;
  readonly h: readonly Held[];
  readonly d: readonly Elsewhere[];
}

/** A record of a pack. */
export interface ReadRecord {
  readonly slot: number;
  readonly id: string;
  readonly entry: readonly unknown[];
  readonly digest: string;
  readonly manifest: Manifest | null;
  readonly isRemoved?: boolean;
  /** A piece that it holds itself; null when it does not. */
  held(key: string): Piece | null;
  /** All pieces of the memento; each is read when it is asked for, because those that a later list replaces may be gone. */
  list(): ReadonlyMap<string, () => Piece>;
}

type Records = ReadonlyMap<string, ReadRecord>;

const sha256 = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const state = createHash("sha256");
  for (const part of parts) state.update(part);
  return state.digest();
};

/** The records of a pack of suite S256; pieces of other records are looked for in `records`. */
export function readPack(headerBytes: Buffer, body: Buffer, records: Records): readonly ReadRecord[] {
  const text = headerBytes.toString("utf8");
  const header = JSON.parse(text) as {
    readonly v: number;
    readonly suite: string;
    readonly sections: readonly { readonly codec: string; readonly plainBytes: number; readonly sealedBytes: number }[];
    readonly entries: readonly (readonly unknown[])[];
  };
  if (![1, 2].includes(header.v) || header.suite !== "S256") throw new Error("The pack is of no known form");
  let at = 0;
  const sections = header.sections.map(({ codec, plainBytes, sealedBytes }, index) => {
    const guarded = body.subarray(at, (at += sealedBytes));
    const packed = guarded.subarray(0, -32);
    if (!sha256(headerBytes, String(index), "\0", packed).equals(guarded.subarray(-32)))
      throw new Error("A section was changed");
    const plain = decompress(codec, packed);
    if (plain.length !== plainBytes) throw new Error("A section has another length");
    return plain;
  });
  const first = sections[0] ?? Buffer.alloc(0);
  const lengths = header.entries.map((_, slot) => first.readUInt32BE(4 + 4 * slot));
  if (first.readUInt32BE(0) !== lengths.length) throw new Error("The pack has another number of slots");
  let place = 4 + 4 * lengths.length;
  const manifests = lengths.map((length) => first.subarray(place, (place += length)));
  sections[0] = first.subarray(place);
  return header.entries.map((entry, slot) =>
    recordOf(entry, slot, manifests[slot] ?? Buffer.alloc(0), sections, records),
  );
}

function decompress(codec: string, packed: Buffer): Buffer {
  if (codec === "zstd") return zstdDecompressSync(packed);
  if (codec === "gzip") return gunzipSync(packed);
  if (codec === "brotli") return brotliDecompressSync(packed);
  if (codec === "none") return packed;
  throw new Error(`The codec ${codec} is not known`);
}

function recordOf(
  entry: readonly unknown[],
  slot: number,
  manifestBytes: Buffer,
  sections: readonly Buffer[],
  records: Records,
): ReadRecord {
  const id = String(entry[0]);
  const manifest = manifestBytes.length === 0 ? null : (JSON.parse(manifestBytes.toString("utf8")) as Manifest);
  const held = (key: string): Piece | null => {
    const found = manifest?.h.find(([name]) => name === key);
    if (found === undefined) return null;
    const [, encoding, bytes, digest, section, offset, deltaBytes, base] = found;
    const stretch = (sections[section] ?? Buffer.alloc(0)).subarray(offset, offset + (deltaBytes ?? bytes));
    const content = base === undefined ? stretch : applyDelta(heldBy(records, base, key).bytes, stretch);
    if (content.length !== bytes || sha256(content).toString("base64url") !== digest)
      throw new Error(`The piece ${key} of ${id} is another one`);
    return { encoding, bytes: content };
  };
  return {
    slot,
    id,
    entry,
    digest: sha256(JSON.stringify(entry), "\n", manifestBytes).toString("base64url"),
    manifest,
    held,
    list: () => {
      const all = new Map(manifest === null || manifest.b === null ? [] : recordAt(records, manifest.b).list());
      for (const [key, holder] of manifest?.d ?? []) {
        if (holder === null) all.delete(key);
        else all.set(key, () => heldBy(records, holder, key));
      }
      for (const [key] of manifest?.h ?? []) {
        if (key !== "@fields") all.set(key, () => demandPiece(held(key), id, key));
      }
      return all;
    },
  };
}

function recordAt(records: Records, id: string): ReadRecord {
  const record = records.get(id);
  if (record === undefined) throw new Error(`The record ${id} is missing`);
  return record;
}

function heldBy(records: Records, id: string, key: string): Piece {
  return demandPiece(recordAt(records, id).held(key), id, key);
}

function demandPiece(piece: Piece | null, id: string, key: string): Piece {
  if (piece === null) throw new Error(`The record ${id} does not hold ${key}`);
  return piece;
}

/** Makes a piece out of its base. */
export function applyDelta(base: Buffer, delta: Buffer): Buffer {
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = delta[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  const [length, baseLength, count] = [varint(), varint(), varint()];
  if (baseLength !== base.length) throw new Error("The delta is for another base");
  const runs: { readonly stretch: Buffer; readonly added: number }[] = [];
  let end = 0;
  for (let run = 0; run < count; run++) {
    const zigzag = varint();
    const start = end + (zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2);
    end = start + varint();
    runs.push({ stretch: base.subarray(start, end), added: varint() });
  }
  const parts = runs.flatMap(({ stretch, added }) => [stretch, delta.subarray(at, (at += added))]);
  const made = Buffer.concat(parts);
  if (made.length !== length) throw new Error("The delta makes another length");
  return made;
}

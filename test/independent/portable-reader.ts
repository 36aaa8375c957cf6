/**
 * A second reader of portable files, written from docs/format.md alone. It shares no line with the library, so that the
 * two agree only where the document says the same.
 */
import { createDecipheriv, createHash, createHmac, createPublicKey, verify } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";

import { readPack, type ReadRecord } from "./pack-reader.ts";
import { decodePiece, type Piece } from "./piece-decoder.ts";

const hashOf = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const state = createHash("sha256");
  for (const part of parts) state.update(part);
  return state.digest();
};

interface Header {
  readonly id: string;
  readonly content: string;
  readonly store: string;
  readonly memento: string | null;
  readonly suite: "A256GCM" | "S256";
  readonly key: { readonly ring: string; readonly wrapped: string } | null;
  readonly signer: string;
}

/** A memento as the file has it. */
export interface PortableMemento {
  readonly entry: readonly unknown[];
  readonly digest: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly pieces: ReadonlyMap<string, Piece>;
  readonly fields: unknown;
}

/** All that a file says. */
export interface Portable {
  readonly header: Header;
  readonly timelines: readonly Readonly<Record<string, unknown>>[];
  /** Live mementos by id. */
  readonly mementos: ReadonlyMap<string, PortableMemento>;
  readonly removed: readonly string[];
  /** Values on the way, for the test vectors. */
  readonly steps: PortableSteps;
}

/** Values between a file's bytes and its content. */
export interface PortableSteps {
  readonly fileKey: string | null;
  readonly headerDigest: string;
  readonly frames: readonly { readonly word: string; readonly packed: string }[];
  readonly digest: string;
  readonly signature: string;
}

/** Reads a file with a key of its ring. Throws an Error for anything that is not as the document says. */
export function readPortable(file: Buffer, ringKey: Uint8Array): Portable {
  demand(file.subarray(0, 8).toString("hex") === "894d454d0d0a1a0a", "magic");
  demand(file.readUInt32BE(8) === 1, "version");
  const start = 16 + file.readUInt32BE(12);
  const header = JSON.parse(file.toString("utf8", 16, start)) as Header;
  checkSignature(file, header);
  const headerDigest = hashOf(file.subarray(0, start));
  const fileKey = header.key === null ? null : unwrap(header, ringKey);
  const { contents, frames } = readFrames(file.subarray(start, -96), headerDigest, fileKey);
  const steps = {
    fileKey: fileKey?.toString("hex") ?? null,
    headerDigest: headerDigest.toString("hex"),
    frames,
    digest: file.subarray(-96, -64).toString("hex"),
    signature: file.subarray(-64).toString("hex"),
  };
  return { header, ...readContent(Buffer.concat(contents), header), steps };
}

function checkSignature(file: Buffer, header: Header): void {
  const digest = hashOf(file.subarray(0, -96));
  demand(digest.equals(file.subarray(-96, -64)), "digest");
  const jwk = { kty: "OKP", crv: "Ed25519", x: header.signer };
  const signed = Buffer.concat([Buffer.from("memento archive 1\n"), digest]);
  demand(verify(null, signed, createPublicKey({ key: jwk, format: "jwk" }), file.subarray(-64)), "signature");
}

function unwrap({ id, key }: Header, ringKey: Uint8Array): Buffer {
  const ring = `k${createHmac("sha256", ringKey).update("memento ring key id 1").digest("base64url").slice(0, 10)}`;
  demand(key?.ring === ring, "ring key");
  const wrapped = Buffer.from(key?.wrapped ?? "", "base64url");
  return openGcm(
    wrapped.subarray(12),
    ringKey,
    wrapped.subarray(0, 12),
    Buffer.from(JSON.stringify(["memento archive key 1", id])),
  );
}

function openGcm(sealed: Uint8Array, key: Uint8Array, nonce: Uint8Array, bound: Uint8Array): Buffer {
  const opener = createDecipheriv("aes-256-gcm", key, nonce).setAAD(bound);
  opener.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([opener.update(sealed.subarray(0, -16)), opener.final()]);
}

function readFrames(
  body: Buffer,
  headerDigest: Buffer,
  key: Buffer | null,
): { readonly contents: readonly Buffer[]; readonly frames: PortableSteps["frames"] } {
  const contents: Buffer[] = [];
  const frames: PortableSteps["frames"][number][] = [];
  for (let at = 0, index = 0; ; index++) {
    const word = body.subarray(at, at + 4);
    const isLast = word.readUInt32BE(0) >= 2 ** 31;
    const length = word.readUInt32BE(0) % 2 ** 31;
    const sealed = body.subarray(at + 4, at + 4 + length);
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(index, 8);
    let packed: Buffer;
    if (key === null) {
      packed = sealed.subarray(0, -32);
      demand(hashOf(headerDigest, nonce, word, packed).equals(sealed.subarray(-32)), "frame");
    } else packed = openGcm(sealed, key, nonce, Buffer.concat([headerDigest, word]));
    const content = zstdDecompressSync(packed);
    demand(content.length <= 1_048_576, "frame's content");
    contents.push(content);
    frames.push({ word: word.toString("hex"), packed: packed.toString("hex") });
    at += 4 + length;
    demand(isLast === (at === body.length), "last frame");
    if (isLast) return { contents, frames };
  }
}

interface Item extends Readonly<Record<string, unknown>> {
  readonly t: string;
  readonly blobs: readonly number[];
}

function* itemsOf(content: Buffer): Generator<{ readonly item: Item; readonly blobs: readonly Buffer[] }> {
  for (let at = 0; at < content.length;) {
    const length = content.readUInt32BE(at);
    const item = JSON.parse(content.toString("utf8", at + 4, at + 4 + length)) as Item;
    at += 4 + length;
    const blobs = item.blobs.map((bytes) => content.subarray(at, (at += bytes)));
    yield { item, blobs };
  }
}

function readContent(content: Buffer, header: Header): Pick<Portable, "timelines" | "mementos" | "removed"> {
  const timelines: Item[] = [];
  const records = new Map<string, ReadRecord>();
  const removed: string[] = [];
  const single = new Map<string, Piece>();
  let alone: { readonly item: Item; readonly fields: Buffer | undefined } | null = null;
  let [count, ended] = [0, false];
  for (const { item, blobs } of itemsOf(content)) {
    demand(!ended, "end");
    if (item.t === "timeline") timelines.push(item);
    if (item.t === "pack") {
      for (const record of readPack(blobs[0] ?? Buffer.alloc(0), blobs[1] ?? Buffer.alloc(0), records)) {
        const isRemoved = (item["removed"] as number[]).includes(record.slot);
        demand(record.manifest !== null || (isRemoved && item["isSpent"] === true), "manifest");
        if (isRemoved) removed.push(record.id);
        records.set(record.id, { ...record, isRemoved });
      }
    }
    if (item.t === "memento") alone = { item, fields: blobs[0] };
    if (item.t === "pieces") {
      for (const [index, [key = "", encoding = "", digest]] of (item["pieces"] as string[][]).entries()) {
        const bytes = blobs[index] ?? Buffer.alloc(0);
        demand(hashOf(bytes).toString("base64url") === digest, `piece ${key}`);
        single.set(key, { encoding, bytes });
      }
    }
    if (item.t === "end") {
      ended = true;
      demand(item["items"] === count, "number of items");
    }
    count += 1;
  }
  demand(ended, "end");
  const mementos = alone === null ? fromRecords(records) : fromSingle(alone.item, alone.fields, single, header);
  return { timelines, mementos, removed };
}

function fromRecords(records: ReadonlyMap<string, ReadRecord>): ReadonlyMap<string, PortableMemento> {
  const mementos = new Map<string, PortableMemento>();
  for (const record of records.values()) {
    if (record.isRemoved === true) continue;
    const pieces = new Map([...record.list()].map(([key, read]) => [key, read()]));
    const fields = record.held("@fields");
    mementos.set(record.id, {
      entry: record.entry,
      digest: record.digest,
      pieces,
      values: valuesOf(pieces),
      fields: fields === null ? {} : decodePiece(fields),
    });
  }
  return mementos;
}

function fromSingle(
  item: Item,
  fields: Buffer | undefined,
  pieces: ReadonlyMap<string, Piece>,
  header: Header,
): ReadonlyMap<string, PortableMemento> {
  const list = [...pieces].map(([key, { encoding, bytes }]) => [key, encoding, hashOf(bytes).toString("base64url")]);
  const sorted = list.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  demand(hashOf(JSON.stringify(sorted)).toString("base64url") === item["contentDigest"], "content");
  const entry = JSON.parse(String(item["entry"])) as unknown[];
  demand(entry[0] === header.memento, "memento");
  const decoded = fields === undefined ? {} : decodePiece({ encoding: String(item["fields"]), bytes: fields });
  return new Map([
    [String(entry[0]), { entry, digest: String(item["digest"]), pieces, values: valuesOf(pieces), fields: decoded }],
  ]);
}

const valuesOf = (pieces: ReadonlyMap<string, Piece>): Readonly<Record<string, unknown>> =>
  Object.fromEntries([...pieces].map(([key, piece]) => [key, decodePiece(piece)]));

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(`The ${what} is not as the document says`);
}

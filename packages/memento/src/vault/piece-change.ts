import { webcrypto } from "node:crypto";

import { sha256 } from "../core/digest.ts";
import { isMementoError } from "../core/errors.ts";
import { encodeSnapshot, encodeValue, snapshotValue, type EncodedValue, type Snapshot } from "./codec.ts";
import { DeltaEncoder } from "./delta/index.ts";
import type { PieceDirectory, PieceRef } from "./directory.ts";
import { DELTA_CONTENT_BYTES_MIN, holdNext, type PieceChain } from "./increments.ts";
import type { MementoReader } from "./reader.ts";
import { FIELDS_PIECE, type HeldPiece } from "./record.ts";

/** From here on the work on a piece is cut into turns of the event loop, and hashed by another thread. */
const TURNS_BYTES_MIN = 1_048_576;
/** How much is compared in one turn of the event loop: some milliseconds. */
const WORK_A_TURN = 1_000_000;
/** Contents that a writer keeps at hand for the next delta; those that changed longest ago are read again when needed. */
const CHAINS_BYTES_MAX = 67_108_864;

/** Captures values as they are now. UNSUPPORTED_VALUE. */
export function capturePieces(pieces: ReadonlyMap<string, unknown> | undefined): ReadonlyMap<string, Snapshot> {
  const captured = new Map<string, Snapshot>();
  for (const [key, value] of pieces ?? []) captured.set(key, snapshotValue(value, key));
  return captured;
}

/** How the pieces of a timeline that changed lately are held. */
export class PieceChains {
  readonly #chains = new Map<string, PieceChain>();
  #bytes = 0;

  /**
   * The chain of a piece, as long as it is of this very content in this very record: another record with the same content
   * may outlive those on this way, and what is built on them would be lost with them.
   */
  get(key: string, { holder, digest, encoding }: PieceRef): PieceChain | undefined {
    const chain = this.#chains.get(key);
    const tip = chain?.links.at(-1)?.holder ?? chain?.keyframe;
    return tip === holder && chain?.digest === digest && chain.encoding === encoding ? chain : undefined;
  }

  /** Keeps the chains of an acknowledged memento. */
  take(chains: ReadonlyMap<string, PieceChain>): void {
    for (const [key, chain] of chains) {
      this.#drop(key);
      this.#chains.set(key, chain);
      this.#bytes += sizeOf(chain);
    }
    for (const key of this.#chains.keys()) {
      if (this.#bytes <= CHAINS_BYTES_MAX || this.#chains.size === 1) return;
      this.#drop(key);
    }
  }

  #drop(key: string): void {
    const chain = this.#chains.get(key);
    if (chain === undefined) return;
    this.#chains.delete(key);
    this.#bytes -= sizeOf(chain);
  }
}

const sizeOf = ({ content, spentBytes }: PieceChain): number => content.length + spentBytes;

/** What one memento changes: the pieces that it holds, and those that it drops. */
export class PieceChange {
  readonly held: HeldPiece[] = [];
  readonly changes = new Map<string, PieceRef | null>();
  /** The chains of the pieces that it overwrites, for the writer to keep once the memento is acknowledged. */
  readonly chains = new Map<string, PieceChain>();
  readonly #id: string;
  readonly #ground: PieceDirectory;
  readonly #known: PieceChains;
  readonly #reader: MementoReader;

  constructor(id: string, ground: PieceDirectory, known: PieceChains, reader: MementoReader) {
    this.#id = id;
    this.#ground = ground;
    this.#known = known;
    this.#reader = reader;
  }

  drop(keys: Iterable<string>): void {
    for (const key of keys) if (this.#ground.get(key) !== undefined) this.changes.set(key, null);
  }

  /** Takes over pieces that other records hold. */
  refer(refs: ReadonlyMap<string, PieceRef>, full: boolean): void {
    for (const [key, ref] of refs)
      if (full || this.#ground.get(key)?.digest !== ref.digest) this.changes.set(key, ref);
  }

  /** Sets a piece, unless the ground has the same. Small ones are done at once, and null is returned. */
  set(key: string, snapshot: Snapshot, full: boolean): Promise<void> | null {
    if (snapshot.size >= DELTA_CONTENT_BYTES_MIN) return this.#setLarge(key, snapshot, full);
    const content = encodeSnapshot(snapshot);
    const digest = sha256(content.bytes);
    if (full || !this.#isSame(key, content, digest)) this.#hold(key, content, digest);
    return null;
  }

  /** The fields of this memento alone. */
  fields(fields: Readonly<Record<string, unknown>>): void {
    if (Object.keys(fields).length === 0) return;
    const { encoding, bytes } = encodeValue(fields, "fields");
    this.held.push({
      key: FIELDS_PIECE,
      encoding,
      bytes,
      contentBytes: bytes.length,
      digest: sha256(bytes),
      base: null,
    });
  }

  async #setLarge(key: string, snapshot: Snapshot, full: boolean): Promise<void> {
    if (snapshot.size >= TURNS_BYTES_MIN) await nextTurn();
    const content = encodeSnapshot(snapshot);
    const digest = await digestOf(content.bytes);
    if (!full && this.#isSame(key, content, digest)) return;
    const chain = full ? null : await this.#chain(key);
    if (chain === null) {
      this.#hold(key, content, digest);
      return;
    }
    const delta = await deltaOf(chain.content, content.bytes);
    const { bytes, base, chain: next } = holdNext(chain, this.#id, digest, content, delta);
    this.chains.set(key, next);
    this.#hold(key, content, digest, { bytes, base });
  }

  /** True, and nothing is to be held, when the ground has the piece with this very content. */
  #isSame(key: string, { encoding }: EncodedValue, digest: string): boolean {
    const known = this.#ground.get(key);
    if (known?.digest !== digest || known.encoding !== encoding) return false;
    this.changes.delete(key);
    return true;
  }

  #hold(
    key: string,
    content: EncodedValue,
    digest: string,
    as: Pick<HeldPiece, "bytes" | "base"> = { bytes: content.bytes, base: null },
  ): void {
    const { encoding, bytes } = content;
    this.held.push({ key, encoding, contentBytes: bytes.length, digest, ...as });
    this.changes.set(key, { holder: this.#id, digest, bytes: bytes.length, encoding });
  }

  /** How the ground holds the piece; null where there is none, or it cannot be read: then the next one is held whole and needs it no more. */
  async #chain(key: string): Promise<PieceChain | null> {
    const ref = this.#ground.get(key);
    if (ref === undefined || ref.bytes < DELTA_CONTENT_BYTES_MIN) return null;
    const known = this.#known.get(key, ref);
    if (known !== undefined) return known;
    try {
      return await this.#reader.chain(ref, key, this.#id, new Map());
    } catch (error) {
      if (isMementoError(error, "DAMAGED")) return null;
      throw error;
    }
  }
}

async function digestOf(bytes: Uint8Array): Promise<string> {
  if (bytes.length < TURNS_BYTES_MIN) return sha256(bytes);
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)).toString("base64url");
}

async function deltaOf(base: Uint8Array, next: Uint8Array): Promise<Uint8Array | null> {
  const encoder = new DeltaEncoder(base, next);
  while (!encoder.step(WORK_A_TURN)) await nextTurn();
  return encoder.finish();
}

async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

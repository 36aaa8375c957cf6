import { runningSha256 } from "../core/digest.ts";
import { isMementoError, MementoError } from "../core/errors.ts";
import type { PieceRef } from "../vault/directory.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { NearbyRecords } from "../vault/reader.ts";
import type { Vault } from "../vault/vault.ts";
import { infoOf, type MementoInfo } from "./memento-info.ts";
import { CHUNK, DIGEST_BYTES, LISTED_CHUNKS_MAX, listKey, STREAM, type StreamFacts } from "./stream-pieces.ts";

/** Records that are kept open while a stream is read; chunks that were saved together are in one. */
const NEARBY_MAX = 2;

/**
 * A saved stream. Each reading starts anew and needs a few megabytes, however long the stream is.
 *
 * What is verified when: before the first byte the memento itself, its list of chunks and the way to them; before each
 * chunk is handed over its seal and its digest; before the **last** chunk the digest of the whole stream. So no byte is
 * ever handed over that is not what was saved, and who has been given all of them has been given the whole. But a stream
 * cannot be known to be whole before most of it is handed over: when DAMAGED is thrown in its middle, all before it was
 * true, and what is missing is missing. Whoever must not act on a part of it writes to a place of his own first, as
 * `memento get --out` does. NOT_FOUND when it was removed, and its space freed, meanwhile.
 */
export class MementoStream implements AsyncIterable<Uint8Array> {
  readonly info: MementoInfo;
  readonly bytes: number;
  /** SHA-256 of all bytes, as 43 characters of base64url. */
  readonly sha256: string;
  readonly #vault: Vault;
  readonly #memento: OpenedMemento;
  readonly #chunks: number;

  private constructor(vault: Vault, memento: OpenedMemento, facts: StreamFacts) {
    this.info = infoOf(memento);
    this.bytes = facts.bytes;
    this.sha256 = facts.sha256;
    this.#vault = vault;
    this.#memento = memento;
    this.#chunks = facts.chunks;
  }

  /** Opens a memento that holds a stream. INVALID_ARGUMENT when it holds a state, DAMAGED. */
  static async of(vault: Vault, memento: OpenedMemento): Promise<MementoStream> {
    const facts = (await memento.value(STREAM)) as StreamFacts | undefined;
    if (facts !== undefined) return new MementoStream(vault, memento, facts);
    throw new MementoError("INVALID_ARGUMENT", `Memento ${memento.entry.id} holds a state, not a stream of bytes`, {
      hint: "Read it with load.",
      details: { id: memento.entry.id },
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#read();
    } catch (error) {
      if (isMementoError(error, "DAMAGED") && (await this.#isGone())) throw this.#removed(error);
      throw error;
    }
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    const near: NearbyRecords = new Map();
    const whole = runningSha256();
    let [bytes, chunks] = [0, 0];
    for await (const key of this.#chunkKeys()) {
      const chunk = await readChunk(this.#vault, this.#ref(key), key, this.info.id, near);
      whole.update(chunk);
      bytes += chunk.length;
      chunks += 1;
      if (chunks === this.#chunks) this.#demandWhole(bytes, whole.current());
      yield chunk;
    }
    if (this.#chunks === 0) this.#demandWhole(bytes, whole.current());
  }

  async *#chunkKeys(): AsyncGenerator<string> {
    for (let start = 0; start < this.#chunks; start += LISTED_CHUNKS_MAX) {
      const count = Math.min(LISTED_CHUNKS_MAX, this.#chunks - start);
      const list = (await this.#memento.value(listKey(start / LISTED_CHUNKS_MAX))) as Uint8Array | undefined;
      if (list?.length !== count * DIGEST_BYTES) throw this.#damaged("its list of chunks is cut");
      const digests = Buffer.from(list.buffer, list.byteOffset, list.byteLength);
      for (let at = 0; at < digests.length; at += DIGEST_BYTES) {
        yield CHUNK + digests.toString("base64url", at, at + DIGEST_BYTES);
      }
    }
  }

  #ref(key: string): PieceRef {
    const ref = this.#memento.directory.get(key);
    if (ref !== undefined) return ref;
    throw this.#damaged(`it lists the chunk ${key} and does not have it`);
  }

  #demandWhole(bytes: number, digest: string): void {
    if (bytes !== this.bytes || digest !== this.sha256)
      throw this.#damaged("its chunks are not the whole that was saved");
  }

  async #isGone(): Promise<boolean> {
    const now = await this.#vault.store.read(this.info.id);
    return now === null || now.removed;
  }

  #removed(cause: MementoError): MementoError {
    const { id } = this.info;
    return new MementoError("NOT_FOUND", `The stream of memento ${id} was removed while it was read`, {
      cause,
      details: { id },
    });
  }

  #damaged(problem: string): MementoError {
    const { id } = this.info;
    return new MementoError("DAMAGED", `The stream of memento ${id} does not read: ${problem}`, { details: { id } });
  }
}

/** Reads one chunk and checks it. `owner` names who needs it in messages. DAMAGED. */
export async function readChunk(
  vault: Vault,
  ref: PieceRef,
  key: string,
  owner: string,
  near: NearbyRecords = new Map(),
): Promise<Uint8Array> {
  const chunk = await pieceOf(vault, ref, key, owner, near);
  for (const id of near.keys()) {
    if (near.size <= NEARBY_MAX) break;
    near.delete(id);
  }
  if (chunk instanceof Uint8Array) return chunk;
  throw new MementoError("DAMAGED", `The piece ${key} of ${owner} is no bytes`, { details: { id: owner } });
}

async function pieceOf(vault: Vault, ref: PieceRef, key: string, owner: string, near: NearbyRecords): Promise<unknown> {
  try {
    return await vault.reader.piece(ref, key, owner, near);
  } catch (cause) {
    if (!isMementoError(cause, "DAMAGED") || cause.details["id"] === owner) throw cause;
    // A section that does not open knows only whose it is, not who needs it.
    throw new MementoError("DAMAGED", `Memento ${owner} needs ${ref.holder}: ${cause.message}`, {
      cause,
      details: { id: owner, needs: ref.holder },
    });
  }
}

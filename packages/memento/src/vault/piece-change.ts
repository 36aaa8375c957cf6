import { runningSha256, sha256, sha256Elsewhere } from "../core/digest.ts";
import { isMementoError } from "../core/errors.ts";
import { keepShape, nothing } from "../core/shapes.ts";
import type { TimelineRecord } from "../core/timeline.ts";
import { encodeValue, type EncodedValue } from "./codec.ts";
import { DeltaEncoder } from "./delta/index.ts";
import type { PieceDirectory, PieceRef } from "./directory.ts";
import { DELTA_CONTENT_BYTES_MIN, holdNext, wholePiece, writable, type PieceChain } from "./increments.ts";
import type { PackQueue } from "./pack-queue.ts";
import type { CapturedPiece } from "./piece-capture.ts";
import type { MementoReader } from "./reader.ts";
import { FIELDS_PIECE, type HeldPiece } from "./record.ts";
import { nextTurn } from "./turns.ts";

/** From here on the work on a piece is cut into turns of the event loop. */
const TURNS_BYTES_MIN = 1_048_576;
/** From here on a piece is hashed by another thread. */
const HASHED_ELSEWHERE_BYTES_MIN = 262_144;
/** How much is compared in one turn of the event loop: some milliseconds. */
const WORK_A_TURN = 1_000_000;
/** How much is hashed in one turn: one or two milliseconds. */
const HASHED_A_TURN_BYTES = 2_097_152;
/** Contents that a vault keeps at hand for the next deltas; those that changed longest ago are read again when needed. */
const CHAINS_BYTES_MAX = 67_108_864;

const NONE: ReadonlyMap<string, PieceChain> = new Map();

/** How the pieces that changed lately are held, of all timelines of a vault: many writers share what one may remember. */
export class PieceChains {
  readonly #chains = new Map<string, PieceChain>();
  /** Large pieces that were new in the last memento: the next one may well change them. */
  #latest: ReadonlyMap<string, PieceChain> = NONE;
  #bytes = 0;

  /**
   * The chain of a piece, as long as it is of this very content in this very record: another record with the same content
   * may outlive those on this way, and what is built on them would be lost with them.
   */
  get(timeline: string, key: string, { holder, digest, encoding }: PieceRef): PieceChain | null {
    const place = placeOf(timeline, key);
    const chain = this.#chains.get(place) ?? this.#latest.get(place);
    const tip = chain?.links.at(-1)?.holder ?? chain?.keyframe;
    return tip === holder && chain?.digest === digest && chain.encoding === encoding ? chain : null;
  }

  /** Keeps the chains of an acknowledged memento: of pieces that it changed, and of those that were new in it. */
  take(timeline: string, { chains, latest }: Pick<PieceChange, "chains" | "latest">): void {
    // What is new takes the place of what was there under its key.
    for (const key of latest?.keys() ?? []) this.#drop(placeOf(timeline, key));
    this.#latest = latest === null ? NONE : new Map([...latest].map(([key, chain]) => [placeOf(timeline, key), chain]));
    for (const [key, chain] of chains ?? []) {
      const place = placeOf(timeline, key);
      this.#drop(place);
      this.#chains.set(place, chain);
      this.#bytes += sizeOf(chain);
    }
    for (const place of this.#chains.keys()) {
      if (this.#bytes <= CHAINS_BYTES_MAX || this.#chains.size === 1) return;
      this.#drop(place);
    }
  }

  #drop(place: string): void {
    const chain = this.#chains.get(place);
    if (chain === undefined) return;
    this.#chains.delete(place);
    this.#bytes -= sizeOf(chain);
  }
}

const placeOf = (timeline: string, key: string): string => `${timeline}\n${key}`;

const sizeOf = ({ content, spentBytes }: PieceChain): number => content.length + spentBytes;

/** What finds out how a piece that changed is held best. */
interface PieceChangePorts {
  readonly chains: PieceChains;
  readonly reader: MementoReader;
  readonly queue: Pick<PackQueue, "compressAhead">;
}

/** What one memento changes: the pieces that it holds, and those that it drops. */
export class PieceChange {
  readonly held: HeldPiece[] = [];
  readonly changes = new Map<string, PieceRef | null>();
  /** The chains of the pieces that it overwrites, for the writer to keep once the memento is acknowledged; null: of none. */
  chains: Map<string, PieceChain> | null = null;
  /** The same of large pieces that are new. */
  latest: Map<string, PieceChain> | null = null;
  readonly #timeline: Pick<TimelineRecord, "key" | "caretaker">;
  readonly #id: string;
  readonly #ground: PieceDirectory;
  readonly #ports: PieceChangePorts;

  constructor(
    timeline: Pick<TimelineRecord, "key" | "caretaker">,
    id: string,
    ground: PieceDirectory,
    ports: PieceChangePorts,
  ) {
    this.#timeline = timeline;
    this.#id = id;
    this.#ground = ground;
    this.#ports = ports;
  }

  drop(keys: Iterable<string>): void {
    for (const key of keys) if (this.#ground.get(key) !== undefined) this.changes.set(key, null);
  }

  /** Takes over pieces that other records hold. */
  refer(refs: ReadonlyMap<string, PieceRef>, full: boolean): void {
    for (const [key, ref] of refs) if (full || this.#ground.get(key)?.digest !== ref.digest) this.changes.set(key, ref);
  }

  /** Sets a piece, unless the ground has the same. Small ones are done at once, and null is returned. */
  set(key: string, piece: CapturedPiece, full: boolean): Promise<void> | null {
    if (piece.size >= DELTA_CONTENT_BYTES_MIN) return this.#setLarge(key, piece, full);
    const content = piece.encode();
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
      section: null,
    });
  }

  async #setLarge(key: string, piece: CapturedPiece, full: boolean): Promise<void> {
    if (piece.size >= TURNS_BYTES_MIN) await nextTurn();
    while (!piece.step()) await nextTurn();
    const content = piece.encode();
    // What is certain to be held whole is compressed while it is hashed.
    const isWhole = full || this.#ground.get(key) === undefined;
    const section = isWhole ? this.#ports.queue.compressAhead(this.#timeline.caretaker, content.bytes) : null;
    const known = isWhole ? null : this.#knownChain(key);
    if (known !== null && known.content === content.bytes && this.#isSame(key, content, known.digest)) return;
    const { digest, compared } = await digestAndDelta(known, piece, content);
    if (!full && this.#isSame(key, content, digest)) return;
    const chain = full ? null : (known ?? (await this.#readChain(key)));
    if (chain === null) {
      (this.latest ??= new Map()).set(key, wholePiece(this.#id, digest, content));
      this.#hold(key, content, digest, { bytes: content.bytes, base: null, section });
      return;
    }
    const delta = known === null ? await deltaOf(chain, piece, content) : compared;
    const { bytes, base, chain: next } = holdNext(chain, this.#id, digest, content, delta);
    (this.chains ??= new Map()).set(key, next);
    this.#hold(key, content, digest, { bytes, base, section: null });
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
    { bytes, base, section }: Pick<HeldPiece, "bytes" | "base" | "section"> = {
      bytes: content.bytes,
      base: null,
      section: null,
    },
  ): void {
    const { encoding } = content;
    const contentBytes = content.bytes.length;
    this.held.push({ key, encoding, contentBytes, digest, bytes, base, section });
    this.changes.set(key, { holder: this.#id, digest, bytes: contentBytes, encoding });
  }

  /** How the ground holds the piece, as far as the writer remembers it. */
  #knownChain(key: string): PieceChain | null {
    const ref = this.#ground.get(key);
    return ref === undefined ? null : this.#ports.chains.get(this.#timeline.key, key, ref);
  }

  /** How the ground holds the piece; null where there is none, or it cannot be read: then the next one is held whole and needs it no more. */
  async #readChain(key: string): Promise<PieceChain | null> {
    const ref = this.#ground.get(key);
    if (ref === undefined || ref.bytes < DELTA_CONTENT_BYTES_MIN) return null;
    try {
      return writable(await this.#ports.reader.chain(ref, key, this.#id, new Map()));
    } catch (error) {
      if (isMementoError(error, "DAMAGED")) return null;
      throw error;
    }
  }
}

keepShape(new PieceChange(nothing, "", nothing, nothing));

/** The digest of a content, and what makes it out of the chain's. */
async function digestAndDelta(
  known: PieceChain | null,
  piece: CapturedPiece,
  content: EncodedValue,
): Promise<{ readonly digest: string; readonly compared: Uint8Array | null }> {
  const { bytes } = content;
  if (known === null || piece.change().base === known.content || bytes.length < HASHED_ELSEWHERE_BYTES_MIN) {
    const digest = await digestInTurns(bytes);
    return { digest, compared: known === null ? null : await deltaOf(known, piece, content) };
  }
  // While another thread hashes, this one compares.
  const hashing = sha256Elsewhere(bytes);
  const compared = await deltaOf(known, piece, content);
  return { digest: await hashing, compared };
}

async function digestInTurns(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= HASHED_A_TURN_BYTES) return sha256(bytes);
  const running = runningSha256();
  for (let start = 0; start < bytes.length; start += HASHED_A_TURN_BYTES) {
    if (start > 0) await nextTurn();
    running.update(bytes.subarray(start, start + HASHED_A_TURN_BYTES));
  }
  return running.current();
}

/** What makes the content out of the chain's. */
async function deltaOf(chain: PieceChain, piece: CapturedPiece, { bytes }: EncodedValue): Promise<Uint8Array | null> {
  const { base, delta } = piece.change();
  if (base === chain.content) return delta;
  const encoder = new DeltaEncoder(chain.content, bytes);
  while (!encoder.step(WORK_A_TURN)) await nextTurn();
  return encoder.finish();
}

import { keepShape } from "../core/shapes.ts";
import { encodeSnapshot, snapshotValue, type EncodedValue, type Snapshot } from "./codec.ts";
import { ArrayEncoder, type ArrayVersion } from "./delta/index.ts";
import { DELTA_CONTENT_BYTES_MIN } from "./increments.ts";

/** What is remembered of arrays, by the bytes of their text; in memory it takes some times as much. */
const KNOWN_BYTES_MAX = 33_554_432;
/** From here on an array is taken apart at once, and its text made in turns of the event loop. */
const LARGE_ITEMS_MIN = 16_384;
/** With as many items an array has more than `DELTA_CONTENT_BYTES_MIN`, whatever they are. */
const SMALL_ITEMS_MAX = DELTA_CONTENT_BYTES_MIN / 2;

/** Lines of which it is known that they came once; then they are forgotten together. */
const SEEN_MAX = 1_024;

/** The arrays that all writers of a vault save again and again: they share what one may remember. */
export class KnownArrays {
  readonly #encoders = new Map<string, { readonly encoder: ArrayEncoder; readonly bytes: number }>();
  #bytes = 0;
  #captures = 0;

  /** A capture for one line of values. */
  newCapture(): PieceCapture {
    return new PieceCapture(this, (this.#captures += 1));
  }

  /** See `ArrayEncoder.capture`; `line` names what the array is a version of. */
  capture(line: string, array: readonly unknown[], root: string): ArrayVersion | null {
    const known = this.#encoders.get(line);
    const encoder = known?.encoder ?? new ArrayEncoder();
    const version = encoder.capture(array, root);
    this.#encoders.delete(line);
    this.#bytes -= known?.bytes ?? 0;
    const bytes = version?.sizeEstimate ?? 0;
    this.#encoders.set(line, { encoder, bytes });
    this.#bytes += bytes;
    // The one that was used longest ago goes first.
    for (const [oldest, { bytes: freed }] of this.#encoders) {
      if (this.#bytes <= KNOWN_BYTES_MAX || oldest === line) break;
      this.#encoders.delete(oldest);
      this.#bytes -= freed;
    }
    return version;
  }
}

/** A piece's value as it was when it was captured. */
export interface CapturedPiece {
  /** About the bytes that it has. */
  readonly size: number;
  /** Does a part of what is left to do before `encode` is cheap; true when nothing is left. */
  step(): boolean;
  /** Its bytes; the same ones each time. UNSUPPORTED_VALUE as `encodeSnapshot`. */
  encode(): EncodedValue;
  /** Known without a comparison: `delta` makes those bytes out of `base`. */
  change(): { readonly base: Uint8Array | null; readonly delta: Uint8Array | null };
}

const UNKNOWN = { base: null, delta: null } as const;

/** A value of which no earlier version is remembered. */
class WholePiece implements CapturedPiece {
  readonly #snapshot: Snapshot;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  get size(): number {
    return this.#snapshot.size;
  }

  step(): boolean {
    return true;
  }

  encode(): EncodedValue {
    return encodeSnapshot(this.#snapshot);
  }

  change(): typeof UNKNOWN {
    return UNKNOWN;
  }
}

keepShape(new WholePiece(snapshotValue(null, "")));

/**
 * Captures the values of pieces as they are now. An array of flat or frozen items that is saved again and again is encoded
 * as a change of what it was the last time.
 */
export class PieceCapture {
  readonly #seen = new Set<string>();
  readonly #known: KnownArrays;
  readonly #number: number;

  /** `number` is of this one alone among those that share `known`. */
  constructor(known: KnownArrays, number: number) {
    this.#known = known;
    this.#number = number;
  }

  /** `scope` tells apart pieces of the same key that are not versions of one another. UNSUPPORTED_VALUE. */
  capture(pieces: ReadonlyMap<string, unknown> | undefined, scope = ""): ReadonlyMap<string, CapturedPiece> {
    const captured = new Map<string, CapturedPiece>();
    for (const [key, value] of pieces ?? []) captured.set(key, this.#capture(key, value, scope));
    return captured;
  }

  #capture(key: string, value: unknown, scope: string): CapturedPiece {
    const version = ArrayEncoder.suits(value) ? this.#captureArray(`${scope}\n${key}`, key, value) : null;
    if (version !== null) return ofArray(version);
    return new WholePiece(snapshotValue(value, key));
  }

  #captureArray(line: string, key: string, array: readonly unknown[]): ArrayVersion | null {
    // Remembering costs memory and, once, time: only for what comes again, and for what would hold the event loop up.
    if (array.length < LARGE_ITEMS_MIN && !this.#seen.has(line)) {
      if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
      this.#seen.add(line);
      return null;
    }
    return this.#known.capture(`${this.#number}\n${line}`, array, key);
  }
}

function ofArray(version: ArrayVersion): CapturedPiece {
  // The exact size of a small one decides how it is held.
  const size = version.length < SMALL_ITEMS_MAX ? version.finish().encoded.bytes.length : version.sizeEstimate;
  return {
    size,
    step: () => version.step(),
    encode: () => version.finish().encoded,
    change: () => version.finish(),
  };
}

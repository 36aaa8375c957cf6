import { encodeValue, type EncodedValue } from "../codec.ts";
import { hasSymbolKeys, isJsonLeaf, isJsonTree, type Family } from "../escape-value.ts";
import { BytePair } from "./byte-pair.ts";
import { isDeepFrozen } from "./deep-frozen.ts";
import { RunWriter } from "./delta-runs.ts";
import { CHANGING, FrozenMatch, type ItemRun } from "./frozen-match.ts";
import { GrowingBytes } from "./growing-bytes.ts";
import { DELTA_BYTES_MAX } from "./varint.ts";

/** An encoded array, and what it is as a change of the one before. */
export interface ArrayEncoding {
  /** Byte for byte what `encodeValue` gives. */
  readonly encoded: EncodedValue;
  /** The bytes of the encoding before this one, the very object that was given out; null with `delta`. */
  readonly base: Uint8Array | null;
  /** Turns `base` into the encoded bytes; null when it does not pay, or nothing is known of the array before. */
  readonly delta: Uint8Array | null;
}

/** What is remembered of an array. */
interface KnownArray {
  /** Its items, `CHANGING` in the place of those that are not frozen all the way down. */
  readonly items: readonly unknown[];
  readonly bytes: Uint8Array;
  /** Where each item starts; one more, where the next one would. Each is followed by one byte, a comma or the bracket. */
  readonly starts: Uint32Array;
}

const ITEMS_MIN = 64;
const FRESH_BYTES = 65_536;
const SAMPLES = 16;
const [BRACKET, COMMA, END] = [0x5b, 0x2c, 0x5d];

/**
 * Encodes versions of an array of which most items stay the same deeply frozen objects: their bytes are copied from the
 * version before, and only the others are looked at. An item that is not frozen all the way down is encoded anew each time.
 * Everything happens before `encode` returns.
 *
 * Between calls it holds on to the last version: its frozen items, its bytes, and 12 bytes for each item.
 */
export class FrozenArrayEncoder {
  #known: KnownArray | null = null;

  /**
   * True when it is worth while to give an array to `encode`: it is long, and a sample of its items is frozen. A first
   * encoding takes up to twice the time of `encodeValue`, those that follow a small part of it.
   */
  static suits(value: unknown): value is readonly unknown[] {
    if (!Array.isArray(value) || Object.getPrototypeOf(value) !== Array.prototype) return false;
    if (value.length < ITEMS_MIN || "toJSON" in value) return false;
    let frozen = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const item: unknown = value[Math.floor((value.length * sample) / SAMPLES)];
      if (typeof item === "object" && item !== null && Object.isFrozen(item)) frozen += 1;
    }
    return frozen * 2 >= SAMPLES;
  }

  /** Encodes the next version. `root` names it in messages. UNSUPPORTED_VALUE as `encodeValue`. */
  encode(array: readonly unknown[], root = "value"): ArrayEncoding {
    const before = this.#known;
    this.#known = null;
    const next = FrozenArrayEncoder.suits(array) ? encodeItems(before, array.slice()) : null;
    if (next === null) return { encoded: encodeValue(array, root), base: null, delta: null };
    this.#known = next.known;
    const { bytes } = next.known;
    const delta = before === null ? null : deltaOf(before, next.known, next.runs);
    return { encoded: { encoding: "json", bytes }, base: delta && before && before.bytes, delta };
  }
}

/** Null when an item is not JSON as it is, or there are too many bytes. Takes `items` over. */
function encodeItems(
  before: KnownArray | null,
  items: unknown[],
): { known: KnownArray; runs: readonly ItemRun[] } | null {
  const runs = before === null ? [{ at: 0, count: items.length, from: -1 }] : new FrozenMatch(before.items, items).runs;
  const [first] = runs;
  if (before !== null && first?.from === 0 && first.count === items.length && first.count === before.items.length) {
    return { known: before, runs };
  }
  const starts = new Uint32Array(items.length + 1);
  const fresh = new GrowingBytes(FRESH_BYTES);
  const families: Family[] = [];
  let position = 1;
  for (const { at, count, from } of runs) {
    if (from >= 0 && before !== null) {
      position = moveStarts(before.starts, from, starts, at, count, position);
      continue;
    }
    for (let index = at; index < at + count; index++) {
      const item = items[index];
      const isObject = typeof item === "object" && item !== null;
      if (isObject ? !isJsonTree(item, 1, families) : !isJsonLeaf(item)) return null;
      starts[index] = position;
      position += fresh.pushText(JSON.stringify(item)) + 1;
      fresh.pushByte(COMMA);
      if (!isObject || !isDeepFrozen(item)) items[index] = CHANGING;
    }
    if (position > DELTA_BYTES_MAX) return null;
  }
  if (families.some(hasSymbolKeys)) return null;
  starts[items.length] = position;
  const known = { items, starts, bytes: new Uint8Array(position) };
  fill(known, before, runs, fresh.bytes());
  return { known, runs };
}

/** Puts down where items start that are copied as a run, the first of them at `position`; gives where the next one does. */
function moveStarts(
  old: Uint32Array,
  from: number,
  starts: Uint32Array,
  at: number,
  count: number,
  position: number,
): number {
  const shift = position - (old[from] ?? 0);
  if (shift === 0) starts.set(old.subarray(from, from + count), at);
  else for (let index = 0; index < count; index++) starts[at + index] = (old[from + index] ?? 0) + shift;
  return (old[from + count] ?? 0) + shift;
}

/** Copies the bytes together: old ones by run, new ones from `fresh`. */
function fill(next: KnownArray, before: KnownArray | null, runs: readonly ItemRun[], fresh: Buffer): void {
  const { starts } = next;
  const bytes = Buffer.from(next.bytes.buffer);
  const old = before && Buffer.from(before.bytes.buffer);
  let taken = 0;
  for (const { at, count, from } of runs) {
    const start = starts[at] ?? 0;
    if (from >= 0 && old !== null) {
      old.copy(bytes, start, before?.starts[from], before?.starts[from + count]);
      // The last one of the old array is followed by its bracket.
      bytes[(starts[at + count] ?? 0) - 1] = COMMA;
    } else {
      taken += fresh.copy(bytes, start, taken, taken + (starts[at + count] ?? 0) - start);
    }
  }
  bytes[0] = BRACKET;
  bytes[bytes.length - 1] = END;
}

/** The change from one version to the next, by the runs that are known; null when it does not pay. */
function deltaOf(before: KnownArray, next: KnownArray, runs: readonly ItemRun[]): Uint8Array | null {
  const writer = new RunWriter();
  const pair = new BytePair(before.bytes, next.bytes);
  writer.copy(0, 1);
  let old = 0;
  for (const [index, { at, count, from }] of runs.entries()) {
    if (from < 0) {
      // As many others in the place of some are taken for these, changed; and so is what stands at the end.
      const gap = (runs[index + 1]?.from ?? Math.min(before.items.length, old + count)) - old;
      const replaced = gap === count || index === runs.length - 1 ? Math.max(0, gap) : 0;
      for (let item = 0; item < replaced; item++) writeChanged(writer, pair, before, old + item, next, at + item);
      writer.literal((next.starts[at + count] ?? 0) - (next.starts[at + replaced] ?? 0));
      continue;
    }
    old = from + count;
    const start = before.starts[from] ?? 0;
    const end = before.starts[old] ?? 0;
    // After its last item an array has a bracket, and a comma after all others.
    const isSame = (old === before.items.length) === (at + count === next.items.length);
    writer.copy(start, isSame ? end - start : end - start - 1);
    if (!isSame) writer.literal(1);
  }
  return writer.encode(before.bytes.length, next.bytes);
}

/** An item in the place of another one: what they begin and end with alike is copied. */
function writeChanged(
  writer: RunWriter,
  pair: BytePair,
  before: KnownArray,
  old: number,
  next: KnownArray,
  at: number,
): void {
  const [oldStart, oldEnd] = [before.starts[old] ?? 0, before.starts[old + 1] ?? 0];
  const [start, end] = [next.starts[at] ?? 0, next.starts[at + 1] ?? 0];
  const most = Math.min(oldEnd - oldStart, end - start);
  const head = pair.alikeForward(oldStart, start, most);
  const tail = pair.alikeBackward(oldEnd, end, most - head);
  writer.copy(oldStart, head);
  writer.literal(end - start - head - tail);
  writer.copy(oldEnd - tail, tail);
}

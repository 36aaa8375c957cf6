import { keepShape } from "../../core/shapes.ts";
import { encodeValue, type EncodedValue } from "../codec.ts";
import { hasSymbolKeys, isJsonLeaf, isJsonTree, type Family } from "../escape-value.ts";
import { BytePair } from "./byte-pair.ts";
import { ChunkedBytes } from "./chunked-bytes.ts";
import { isDeepFrozen } from "./deep-frozen.ts";
import { RunWriter } from "./delta-runs.ts";
import { CHANGING, ItemMatch, type ItemRun } from "./item-match.ts";
import { RowStore } from "./row-store.ts";
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

/** An array as text. */
interface ArrayText {
  readonly bytes: Uint8Array;
  /** Where each item starts; one more, where the next one would. Each is followed by one byte, a comma or the bracket. */
  readonly starts: Uint32Array;
}

/** A version of which more than this is new is better encoded as any other value. */
const NEW_SHARE_MAX = 0.5;
const [BRACKET, COMMA, END] = [0x5b, 0x2c, 0x5d];

/**
 * One version of an array of flat or deeply frozen objects, captured: nothing that happens to them later changes it. Its
 * text is made afterwards, bit by bit, out of the one before and of what was remembered.
 */
export class ArrayVersion {
  readonly #root: string;
  /** `CHANGING` in the place of those that are neither deeply frozen nor remembered. */
  readonly #items: unknown[];
  /** What flat objects that are not frozen had: where in the store, -1 for all others. */
  readonly #places: Int32Array;
  readonly #store: RowStore;
  /** The size of the store when it held this array and nothing else. */
  #storedAtFirst = 0;
  /** The text of those that are neither. */
  readonly #texts = new Map<number, string>();
  readonly #runs: readonly ItemRun[];
  /** The array itself, and what of it is new, until that is seen to have no symbols as keys. */
  #array: readonly unknown[];
  #families: Family[] = [];
  #before: ArrayVersion | null;
  #text: ArrayText | null = null;
  #work: Generator<undefined, ArrayText> | null = null;
  #encoding: ArrayEncoding | null = null;

  static {
    keepShape(new ArrayVersion(null, [], ""));
  }

  private constructor(before: ArrayVersion | null, array: readonly unknown[], root: string) {
    // A frozen array's `slice` asks for each item by its name: 45 times as slow.
    const items = [...array];
    this.#root = root;
    this.#array = array;
    this.#before = before;
    this.#items = items;
    this.#places = new Int32Array(items.length).fill(-1);
    this.#store = before === null || before.#isWasteful() ? new RowStore(cellsFor(items)) : before.#store;
    this.#runs =
      before === null
        ? [{ at: 0, count: items.length, from: -1 }]
        : before.#withoutChanged(new ItemMatch(before.#items, items).runs, items);
  }

  /** Captures an array; null when an item is not JSON as it is, or most of them are new since `before`. */
  static capture(before: ArrayVersion | null, array: readonly unknown[], root: string): ArrayVersion | null {
    const version = new ArrayVersion(before, array, root);
    if (before !== null && before.#isAllOf(version)) return before;
    const fresh = version.#runs.reduce((sum, { from, count }) => (from < 0 ? sum + count : sum), 0);
    if (before !== null && fresh > array.length * NEW_SHARE_MAX) return null;
    return version.#take(before) ? version : null;
  }

  get length(): number {
    return this.#items.length;
  }

  /** The size of the text, as far as it can be told before it is made. */
  get sizeEstimate(): number {
    const text = this.#text ?? (this.#before === null ? null : this.#before.#text);
    return text?.bytes.length ?? this.#items.length * 64;
  }

  /** Works on; true when nothing is left to do. */
  step(): boolean {
    if (this.#text !== null) return true;
    if (this.#before !== null && !this.#before.step()) return false;
    // A step of its own; what is wrong is for `finish` to say.
    if (this.#work === null && this.#families.length > 0 && this.isSound()) return false;
    this.#work ??= this.#make();
    const { done, value } = this.#work.next();
    if (done !== true) return false;
    this.#text = value;
    this.#work = null;
    return true;
  }

  /** The text, and the way to it from the one before; the same ones each time. UNSUPPORTED_VALUE for a symbol as a key. */
  finish(): ArrayEncoding {
    if (this.#encoding !== null) return this.#encoding;
    const before = this.#before;
    this.#refuseSymbols();
    while (!this.step());
    const { bytes } = this.#demandText();
    const delta = before === null ? null : this.#delta(before);
    const base = before === null || delta === null ? null : before.#demandText().bytes;
    this.#encoding = { encoded: { encoding: "json", bytes }, base, delta };
    this.#before = null;
    return this.#encoding;
  }

  /** True when the other one, made from this one, is nothing else. */
  #isAllOf(next: ArrayVersion): boolean {
    const [first] = next.#runs;
    return first?.from === 0 && first.count === next.length && first.count === this.length;
  }

  /** Remembers what is new, and takes over what is known; false when an item is not JSON as it is. */
  #take(before: ArrayVersion | null): boolean {
    for (const { at, count, from } of this.#runs) {
      if (from >= 0 && before !== null) this.#takeOver(before, from, at, count);
      else for (let index = at; index < at + count; index++) if (!this.#remember(index)) return false;
    }
    this.#storedAtFirst = before !== null && this.#store === before.#store ? before.#storedAtFirst : this.#store.size;
    return true;
  }

  #takeOver(before: ArrayVersion, from: number, at: number, count: number): void {
    const places = before.#places.subarray(from, from + count);
    this.#places.set(places, at);
    if (this.#store === before.#store) return;
    for (const [index, place] of places.entries())
      if (place >= 0) this.#places[at + index] = this.#store.take(before.#store, place);
  }

  /** True when most of the store is no longer needed. */
  #isWasteful(): boolean {
    return this.#store.size > this.#storedAtFirst * 2 + WASTE_MIN;
  }

  /** Takes the items out of known runs that are the same objects and no longer have what they had. */
  #withoutChanged(runs: readonly ItemRun[], items: readonly unknown[]): readonly ItemRun[] {
    const kept: ItemRun[] = [];
    const push = (at: number, count: number, from: number): void => {
      if (count === 0) return;
      const last = kept.at(-1);
      if (from < 0 && last?.from === -1) kept[kept.length - 1] = { ...last, count: last.count + count };
      else kept.push({ at, count, from });
    };
    for (const { at, count, from } of runs) {
      if (from < 0) {
        push(at, count, -1);
        continue;
      }
      let same = 0;
      for (let index = 0; index < count; index++) {
        const place = this.#places[from + index] ?? -1;
        if (place < 0 || this.#store.isUnchanged(items[at + index] as object, place)) continue;
        push(at + same, index - same, from + same);
        push(at + index, 1, -1);
        same = index + 1;
      }
      push(at + same, count - same, from + same);
    }
    return kept;
  }

  #remember(index: number): boolean {
    const item = this.#items[index];
    const isObject = typeof item === "object" && item !== null;
    if (isObject && !Object.isFrozen(item)) {
      const place = this.#store.remember(item);
      if (place >= 0) {
        this.#places[index] = place;
        this.#families.push(item);
        return true;
      }
    }
    if (isObject ? !isJsonTree(item, 1, this.#families) : !isJsonLeaf(item)) return false;
    if (isObject && isDeepFrozen(item)) return true;
    this.#texts.set(index, JSON.stringify(item));
    this.#items[index] = CHANGING;
    return true;
  }

  /** False when something that was new in it has a symbol as a key: nothing may be built on it. */
  isSound(): boolean {
    if (this.#families.some(hasSymbolKeys)) return false;
    this.#families = [];
    this.#array = [];
    return true;
  }

  #refuseSymbols(): void {
    if (this.isSound()) return;
    // The first one throws, with the path, unless the array is another one by now.
    encodeValue(this.#array, this.#root);
    encodeValue(this.#families, this.#root);
  }

  /** Makes the text; yields after each stretch of some hundred new items. */
  *#make(): Generator<undefined, ArrayText> {
    const before = this.#before === null ? null : this.#before.#demandText();
    const starts = new Uint32Array(this.#items.length + 1);
    const fresh = new ChunkedBytes();
    let position = 1;
    for (const { at, count, from } of this.#runs) {
      if (from >= 0 && before !== null) {
        position = moveStarts(before.starts, from, starts, at, count, position);
        continue;
      }
      for (let index = at; index < at + count; index++) {
        starts[index] = position;
        position += fresh.push(this.#textOf(index), COMMA);
        if (index % ITEMS_A_STEP === 0) yield;
      }
    }
    starts[this.#items.length] = position;
    const text = { starts, bytes: Buffer.allocUnsafeSlow(position) };
    fill(text, before, this.#runs, fresh);
    return text;
  }

  #textOf(index: number): string {
    const place = this.#places[index] ?? -1;
    if (place >= 0) return this.#store.textOf(place);
    return this.#texts.get(index) ?? JSON.stringify(this.#items[index]);
  }

  #demandText(): ArrayText {
    if (this.#text === null) throw new Error("The array's text was not made yet");
    return this.#text;
  }

  /** The change from the version before to this one, by the runs that are known; null when it does not pay. */
  #delta(before: ArrayVersion): Uint8Array | null {
    const [old, next] = [before.#demandText(), this.#demandText()];
    if (old.bytes.length > DELTA_BYTES_MAX || next.bytes.length > DELTA_BYTES_MAX) return null;
    return deltaOf(old, next, this.#runs);
  }
}

const ITEMS_A_STEP = 1_024;
/** Cells that may be in vain without more ado. */
const WASTE_MIN = 65_536;

/** About how many cells a store needs for these items. */
function cellsFor(items: readonly unknown[]): number {
  const [first] = items;
  const isRow = typeof first === "object" && first !== null && !Object.isFrozen(first);
  return isRow ? (Object.keys(first).length + 1) * items.length : 0;
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
function fill(next: ArrayText, before: ArrayText | null, runs: readonly ItemRun[], fresh: ChunkedBytes): void {
  const { starts } = next;
  const bytes = Buffer.from(next.bytes.buffer);
  const old = before && Buffer.from(before.bytes.buffer);
  for (const { at, count, from } of runs) {
    const start = starts[at] ?? 0;
    if (from >= 0 && old !== null) {
      old.copy(bytes, start, before?.starts[from], before?.starts[from + count]);
      // The last one of the old array is followed by its bracket.
      bytes[(starts[at + count] ?? 0) - 1] = COMMA;
    } else {
      fresh.take(bytes, start, (starts[at + count] ?? 0) - start);
    }
  }
  bytes[0] = BRACKET;
  bytes[bytes.length - 1] = END;
}

function deltaOf(before: ArrayText, next: ArrayText, runs: readonly ItemRun[]): Uint8Array | null {
  const oldItems = before.starts.length - 1;
  const nextItems = next.starts.length - 1;
  const writer = new RunWriter();
  const pair = new BytePair(before.bytes, next.bytes);
  writer.copy(0, 1);
  let old = 0;
  for (const [index, { at, count, from }] of runs.entries()) {
    if (from < 0) {
      // As many others in the place of some are taken for these, changed; and so is what stands at the end.
      const gap = (runs[index + 1]?.from ?? Math.min(oldItems, old + count)) - old;
      const replaced = gap === count || index === runs.length - 1 ? Math.max(0, gap) : 0;
      for (let item = 0; item < replaced; item++) writeChanged(writer, pair, before, old + item, next, at + item);
      writer.literal((next.starts[at + count] ?? 0) - (next.starts[at + replaced] ?? 0));
      continue;
    }
    old = from + count;
    const start = before.starts[from] ?? 0;
    const end = before.starts[old] ?? 0;
    // After its last item an array has a bracket, and a comma after all others.
    const isSame = (old === oldItems) === (at + count === nextItems);
    writer.copy(start, isSame ? end - start : end - start - 1);
    if (!isSame) writer.literal(1);
  }
  return writer.encode(before.bytes.length, next.bytes);
}

/** An item in the place of another one: what they begin and end with alike is copied. */
function writeChanged(
  writer: RunWriter,
  pair: BytePair,
  before: ArrayText,
  old: number,
  next: ArrayText,
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

import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { entryText } from "../../store/entry-text.ts";
import { DigestSet, fingerprint } from "./digest-set.ts";

/** What is known of a record: nothing yet, that it does not open, or that it does. */
export type RecordState = "unseen" | "broken" | "opened";

/** Sequence numbers by timeline, as closed ranges. */
export type SequenceRanges = Readonly<Record<string, readonly (readonly [number, number])[]>>;

const BROKEN = -1;

/**
 * What verifying remembers of each memento: about 150 bytes, whatever is in it. Digests are kept as 48 bits: the seal keeps
 * deceivers out, and this finds what was mixed up.
 */
export class RecordTable {
  readonly #places = new Map<string, number>();
  /** What the index says of a live memento; 0 for one that is not live. */
  #entries = new Float64Array(1_024);
  /** A record's digest; 0 before it was judged, BROKEN when it does not open. */
  #digests = new Float64Array(1_024);
  /** Pieces and lists that were read and found whole. */
  readonly #good = new DigestSet();
  /** Live mementos in the middle of a rollback. */
  readonly #reverting = new Set<string>();
  /** Judged in an earlier part of the same verification. */
  readonly #before: SequenceRanges;
  liveCount = 0;

  constructor(before: SequenceRanges = {}) {
    this.#before = before;
  }

  addLive(entry: MementoEntry): void {
    const place = this.#placeOf(entry.id);
    if (this.#entries[place] === 0) this.liveCount += 1;
    this.#entries[place] = fingerprint(entryText(entry));
    if (entry.status === "reverting") this.#reverting.add(entry.id);
  }

  /** True for a live memento that stands in the middle of a rollback. */
  isReverting(id: string): boolean {
    return this.#reverting.has(id);
  }

  isLive(id: string): boolean {
    const place = this.#places.get(id);
    return place !== undefined && this.#entries[place] !== 0;
  }

  /** True when the index says the same of a live memento as this entry. */
  agrees(entry: MementoEntry): boolean {
    return this.#entries[this.#placeOf(entry.id)] === fingerprint(entryText(entry));
  }

  state(id: string): RecordState {
    const digest = this.#digests[this.#places.get(id) ?? -1] ?? 0;
    return digest === 0 ? "unseen" : digest === BROKEN ? "broken" : "opened";
  }

  setBroken(id: string): void {
    this.#digests[this.#placeOf(id)] = BROKEN;
  }

  setOpened(id: string, digest: string): void {
    this.#digests[this.#placeOf(id)] = fingerprint(digest);
  }

  hasDigest(id: string, digest: string): boolean {
    return this.#digests[this.#places.get(id) ?? -1] === fingerprint(digest);
  }

  /** Says that a record holds this piece (with this content), or, for null, that its list of pieces is whole. */
  addGood(holder: string, key: string | null, digest: string): void {
    this.#good.add(goodText(holder, key, digest));
  }

  isGood(holder: string, key: string | null, digest: string): boolean {
    return this.#good.has(goodText(holder, key, digest));
  }

  /** Says that all that a memento's list of pieces names was read and found whole, wherever it is held. */
  addWhole(id: string): void {
    this.#good.add(`${id}\0`);
  }

  isWhole(id: string): boolean {
    return this.#good.has(`${id}\0`);
  }

  /** True when the memento was judged in an earlier part. */
  wasBefore(id: string): boolean {
    const place = parseMementoId(id);
    const ranges = (place && this.#before[place.timeline]) ?? [];
    return ranges.some(([from, to]) => place !== undefined && place.sequence >= from && place.sequence <= to);
  }

  *live(): IterableIterator<string> {
    for (const [id, place] of this.#places) if (this.#entries[place] !== 0) yield id;
  }

  /** All that was judged so far, earlier parts included. */
  judged(): SequenceRanges {
    const sequences = new Map<string, number[]>();
    for (const [timeline, ranges] of Object.entries(this.#before))
      for (const [from, to] of ranges)
        sequences.set(timeline, [
          ...(sequences.get(timeline) ?? []),
          ...Array.from({ length: to - from + 1 }, (_, at) => from + at),
        ]);
    for (const [id, place] of this.#places) {
      const parts = this.#digests[place] === 0 ? undefined : parseMementoId(id);
      if (parts === undefined) continue;
      const its = sequences.get(parts.timeline);
      if (its === undefined) sequences.set(parts.timeline, [parts.sequence]);
      else its.push(parts.sequence);
    }
    return Object.fromEntries([...sequences].map(([timeline, its]) => [timeline, rangesOf(its)]));
  }

  #placeOf(id: string): number {
    const known = this.#places.get(id);
    if (known !== undefined) return known;
    const place = this.#places.size;
    // A copy of its own: a piece of a longer text would keep all of that in memory.
    this.#places.set(Buffer.from(id, "latin1").toString("latin1"), place);
    if (place >= this.#entries.length)
      [this.#entries, this.#digests] = [doubled(this.#entries), doubled(this.#digests)];
    return place;
  }
}

const goodText = (holder: string, key: string | null, digest: string): string =>
  key === null ? `${holder}\n` : `${holder}\n${digest}\n${key}`;

function doubled(values: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2);
  larger.set(values);
  return larger;
}

function rangesOf(numbers: readonly number[]): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && number <= last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

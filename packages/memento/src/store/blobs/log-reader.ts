import { isMementoError } from "../../core/errors.ts";
import type { BlobPort } from "./blob-port.ts";
import { damagedFile, frameJson, missingFile, openJson } from "./frame.ts";
import { chapterFile, logFile, logPosition } from "./paths.ts";
import type { RecentEntries } from "./recent-entries.ts";
import { concurrently } from "./turns.ts";

/** What the entries of a log belong to. */
export type LogKind = "timeline" | "caretaker";

/** An entry of a log as its file has it. */
export interface WrittenRecord<E> {
  /** Which log it belongs to, so that a file in another's place is found. */
  readonly log: string;
  /** 1 for the first. */
  readonly position: number;
  /** The digest of the entry before it; empty for the first. */
  readonly previous: string;
  /** See `Stamps`; grows along the log. */
  readonly stamp: number;
  /** A random text of each attempt to write: tells the writer whose file is there when an answer was lost. */
  readonly writer: string;
  readonly entry: E;
  /** Its pack lies in the same blob, behind it; see packs.ts. */
  readonly attached?: true;
}

/** An entry of a log, with the digest of its file. */
export interface LogRecord<E> extends WrittenRecord<E> {
  readonly digest: string;
}

/** An entry, and the bytes that lie behind it in its blob; none for most. */
export interface WholeRecord<E> {
  readonly record: LogRecord<E>;
  readonly behind: Uint8Array;
}

/** Where a log's files are. */
export interface LogPlace {
  readonly kind: LogKind;
  /** The timeline's key or the caretaker's name. */
  readonly id: string;
  readonly folder: string;
}

/** How many entries one chapter repeats. */
export const CHAPTER_ENTRIES = 256;

/** A chapter that would be larger than this is not written: entries of such a size are better read one by one. */
const CHAPTER_BYTES_MAX = 1_048_576;
/** Fewer entries than this are read from their own files even where a chapter has them. */
const CHAPTER_WORTH = 32;
/** What one stream of entries may hold in memory; about a chapter of entries with one memento each. */
export const STREAM_BYTES_MAX = 262_144;
const READS_AT_ONCE = 8;
/** How the frame of a pack begins; see frame.ts. */
const PACK_FRAME = "memento-file/1 pack";
const FIRST_LINE_BYTES_MIN = 60;

/** What a log is read with, besides its place. */
export interface LogReaderOptions {
  /** 8 by default. */
  readonly readsAtOnce?: number;
  /** Where entries are held until their chapter is written; without it they are read back. */
  readonly recent?: RecentEntries;
}

/**
 * Reads a log's entries. Chapters repeat what the entries' own files say, 256 in one file, and make long reads fast; one
 * that is missing or damaged is passed over for the files themselves, which alone decide. `check` compares the two.
 */
export class LogReader<E> {
  readonly place: LogPlace;
  readonly #files: BlobPort;
  readonly #readsAtOnce: number;
  readonly #recent: RecentEntries | null;
  /** How large this log's entries are, by those that were met. */
  #usualBytes = 1_024;

  constructor(place: LogPlace, files: BlobPort, { readsAtOnce = READS_AT_ONCE, recent }: LogReaderOptions = {}) {
    this.place = place;
    this.#files = files;
    this.#readsAtOnce = readsAtOnce;
    this.#recent = recent ?? null;
  }

  /** The entry at a position; null when there is none. DAMAGED, naming the file. */
  async read(position: number): Promise<LogRecord<E> | null> {
    return (await this.readWhole(position))?.record ?? null;
  }

  /** The entry at a position, with what lies behind it; null when there is none. DAMAGED, naming the file. */
  async readWhole(position: number): Promise<WholeRecord<E> | null> {
    const { kind, id, folder } = this.place;
    const file = logFile(folder, position);
    const bytes = await this.#files.read(file);
    if (bytes === null) return null;
    const { own, behind } = splitEntry(bytes);
    this.meet(own.byteLength);
    const { value, digest } = await openJson<WrittenRecord<E>>(own, `${kind}-log`, file);
    if (value.log !== id || value.position !== position) throw damagedFile(file, "it belongs to another place");
    if (behind.byteLength > 0 && value.attached !== true) throw damagedFile(file, "there are bytes behind its end");
    return { record: { ...value, digest }, behind };
  }

  /** The entries at a position and behind it, each null when there is none; what is wrong with one is its own. */
  async probe(first: number, count: number): Promise<readonly PromiseSettledResult<LogRecord<E> | null>[]> {
    const reads = Array.from({ length: count }, (_, index) => this.read(first + index));
    return await Promise.allSettled(reads);
  }

  /** Holds the log's newest entry until its chapter is written. */
  keep(record: LogRecord<E>): void {
    this.#recent?.keep(this, record, this.#usualBytes, record.position % CHAPTER_ENTRIES === 1);
  }

  /** Takes note of an entry's size. */
  meet(bytes: number): void {
    this.#usualBytes += (bytes - this.#usualBytes) / 8;
  }

  /** The entry at a position that must have one. */
  async demand(position: number): Promise<LogRecord<E>> {
    return (await this.demandWhole(position)).record;
  }

  /** Like `demand`, with what lies behind the entry. */
  async demandWhole(position: number): Promise<WholeRecord<E>> {
    const whole = await this.readWhole(position);
    if (whole === null) throw missingFile(logFile(this.place.folder, position));
    return whole;
  }

  /**
   * The entries from one position to another, both included, upwards or downwards. Every one of them must be there.
   * Reads ahead further and further, up to about `heldBytes`, so that who wants one entry pays for one.
   */
  async *records(from: number, to: number, heldBytes: number = STREAM_BYTES_MAX): AsyncIterable<LogRecord<E>> {
    const step = from <= to ? 1 : -1;
    let held = 1;
    for (let position = from; (to - position) * step >= 0;) {
      const end = chunkEnd(position, to, step, held);
      const reads = await this.#chunk(Math.min(position, end), Math.max(position, end));
      // What is in front of a damaged entry is given before its error.
      for (const read of step === 1 ? reads : reads.toReversed()) {
        if (read.status === "rejected") throw read.reason;
        yield read.value;
      }
      position = end + step;
      held = Math.max(1, Math.min(held * 4, Math.floor(heldBytes / this.#usualBytes)));
    }
  }

  /** The highest position that the folder lists; 0 for an empty log. */
  async lastListed(): Promise<number> {
    let last = 0;
    for await (const name of this.#files.list(this.place.folder)) last = Math.max(last, logPosition(name) ?? 0);
    return last;
  }

  /** A chapter's entries; null when it was not written. */
  async chapter(number: number): Promise<readonly LogRecord<E>[] | null> {
    const file = chapterFile(this.place.folder, number);
    const bytes = await this.#files.read(file);
    if (bytes === null) return null;
    const { value } = await openJson<readonly LogRecord<E>[]>(bytes, `${this.place.kind}-chapter`, file);
    const [first] = value;
    const fits = first?.log === this.place.id && first.position === (number - 1) * CHAPTER_ENTRIES + 1;
    if (!fits || value.length !== CHAPTER_ENTRIES) throw damagedFile(file, "it belongs to another place");
    return value;
  }

  /** Writes a chapter from the entries' own files, unless it would be too large to be of use. */
  async writeChapter(number: number): Promise<void> {
    if (this.#usualBytes * CHAPTER_ENTRIES > CHAPTER_BYTES_MAX) return;
    const first = (number - 1) * CHAPTER_ENTRIES + 1;
    const records =
      this.#recent?.run(this, first, CHAPTER_ENTRIES) ??
      (await Array.fromAsync(this.records(first, first + CHAPTER_ENTRIES - 1)));
    const { folder, kind } = this.place;
    await this.#files.replace(chapterFile(folder, number), await frameJson(`${kind}-chapter`, records));
  }

  async #chunk(first: number, last: number): Promise<readonly PromiseSettledResult<LogRecord<E>>[]> {
    const number = Math.ceil(first / CHAPTER_ENTRIES);
    const chapter = last - first + 1 < CHAPTER_WORTH ? null : await this.soundChapter(number);
    if (chapter !== null) {
      const offset = (number - 1) * CHAPTER_ENTRIES + 1;
      return chapter.slice(first - offset, last - offset + 1).map((value) => ({ status: "fulfilled", value }));
    }
    const positions = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return await concurrently(positions, this.#readsAtOnce, async (position) => {
      const [read] = await Promise.allSettled([this.demand(position)]);
      return read;
    });
  }

  /** A chapter that can be used; null for one that is missing or damaged. */
  async soundChapter(number: number): Promise<readonly LogRecord<E>[] | null> {
    try {
      return await this.chapter(number);
    } catch (error) {
      // The entries' own files are the truth; `check` reports the chapter.
      if (isMementoError(error, "DAMAGED")) return null;
      throw error;
    }
  }
}

/**
 * An entry's blob as its own frame, which ends with the second line, and what lies behind that. Where damage has moved the
 * ends of lines, a pack's frame is found by how it begins, so that it is not lost with its entry.
 */
export function splitEntry(bytes: Uint8Array): { readonly own: Uint8Array; readonly behind: Uint8Array } {
  const end = bytes.indexOf(10, bytes.indexOf(10) + 1) + 1;
  if (end === 0 || end === bytes.byteLength) return { own: bytes, behind: new Uint8Array() };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isSound = buffer.toString("latin1", end, end + PACK_FRAME.length) === PACK_FRAME;
  const begin = isSound ? end : buffer.indexOf(PACK_FRAME, FIRST_LINE_BYTES_MIN);
  const at = begin === -1 ? end : begin;
  return { own: bytes.subarray(0, at), behind: bytes.subarray(at) };
}

/** The last position of the chunk that begins here. No chunk crosses the end of a chapter. */
function chunkEnd(position: number, to: number, step: 1 | -1, held: number): number {
  const chapter = Math.ceil(position / CHAPTER_ENTRIES);
  return step === 1
    ? Math.min(to, chapter * CHAPTER_ENTRIES, position + held - 1)
    : Math.max(to, (chapter - 1) * CHAPTER_ENTRIES + 1, position - held + 1);
}

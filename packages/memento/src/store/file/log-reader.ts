import { isMementoError } from "../../core/errors.ts";
import type { DurableFiles } from "./durable-write.ts";
import { damagedFile, frameJson, missingFile, openJson } from "./frame.ts";
import { chapterFile, logFile, logPosition } from "./paths.ts";
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
}

/** An entry of a log, with the digest of its file. */
export interface LogRecord<E> extends WrittenRecord<E> {
  readonly digest: string;
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

/** Fewer entries than this are read from their own files even where a chapter has them. */
const CHAPTER_WORTH = 32;
const READS_AT_ONCE = 8;

/**
 * Reads a log's entries. Chapters repeat what the entries' own files say, 256 in one file, and make long reads fast; one
 * that is missing or damaged is passed over for the files themselves, which alone decide. `check` compares the two.
 */
export class LogReader<E> {
  readonly place: LogPlace;
  readonly #files: DurableFiles;

  constructor(place: LogPlace, files: DurableFiles) {
    this.place = place;
    this.#files = files;
  }

  /** The entry at a position; null when there is none. DAMAGED, naming the file. */
  async read(position: number): Promise<LogRecord<E> | null> {
    const { kind, id, folder } = this.place;
    const file = logFile(folder, position);
    const bytes = await this.#files.read(file);
    if (bytes === null) return null;
    const { value, digest } = await openJson<WrittenRecord<E>>(bytes, `${kind}-log`, file);
    if (value.log !== id || value.position !== position) throw damagedFile(file, "it belongs to another place");
    return { ...value, digest };
  }

  /** The entry at a position that must have one. */
  async demand(position: number): Promise<LogRecord<E>> {
    const record = await this.read(position);
    if (record === null) throw missingFile(logFile(this.place.folder, position));
    return record;
  }

  /**
   * The entries from one position to another, both included, upwards or downwards. Every one of them must be there.
   * Reads ahead further and further, up to `heldMax` entries, so that who wants one pays for one.
   */
  async *records(from: number, to: number, heldMax: number = CHAPTER_ENTRIES): AsyncIterable<LogRecord<E>> {
    const step = from <= to ? 1 : -1;
    let held = 1;
    for (let position = from; (to - position) * step >= 0;) {
      const end = chunkEnd(position, to, step, held);
      const records = await this.#chunk(Math.min(position, end), Math.max(position, end));
      yield* step === 1 ? records : records.toReversed();
      position = end + step;
      held = Math.min(held * 4, Math.max(1, heldMax));
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

  /** Writes a chapter from the entries' own files. */
  async writeChapter(number: number): Promise<void> {
    const first = (number - 1) * CHAPTER_ENTRIES + 1;
    const records = await this.#single(first, first + CHAPTER_ENTRIES - 1);
    const { folder, kind } = this.place;
    await this.#files.replace(chapterFile(folder, number), await frameJson(`${kind}-chapter`, records));
  }

  async #chunk(first: number, last: number): Promise<LogRecord<E>[]> {
    if (last - first + 1 < CHAPTER_WORTH) return await this.#single(first, last);
    const number = Math.ceil(first / CHAPTER_ENTRIES);
    const chapter = await this.soundChapter(number);
    if (chapter === null) return await this.#single(first, last);
    const offset = (number - 1) * CHAPTER_ENTRIES + 1;
    return chapter.slice(first - offset, last - offset + 1);
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

  async #single(first: number, last: number): Promise<LogRecord<E>[]> {
    const positions = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return await concurrently(positions, READS_AT_ONCE, (position) => this.demand(position));
  }
}

/** The last position of the chunk that begins here. No chunk crosses the end of a chapter. */
function chunkEnd(position: number, to: number, step: 1 | -1, held: number): number {
  const chapter = Math.ceil(position / CHAPTER_ENTRIES);
  return step === 1
    ? Math.min(to, chapter * CHAPTER_ENTRIES, position + held - 1)
    : Math.max(to, (chapter - 1) * CHAPTER_ENTRIES + 1, position - held + 1);
}
